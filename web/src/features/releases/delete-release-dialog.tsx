import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { flushSync } from "react-dom";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { auditQuery, type Release, releasesQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { TextField } from "#ui/fields.tsx";
import { focusHeading } from "#ui/page.tsx";
import { toast } from "#ui/toaster.tsx";

interface Props {
	release: Release;
	onClose: () => void;
	onDeleted?: () => void;
}

/** Asks for the release's name: its history goes with it. */
export function DeleteReleaseDialog({ release, onClose, onDeleted }: Props) {
	const queries = useQueryClient();
	const [typed, setTyped] = useState("");
	const matches = typed.trim().toLowerCase() === release.name.toLowerCase();
	const remove = useMutation({
		mutationFn: () =>
			call("delete", "/api/releases/{id}", { params: { id: release.id }, ifMatch: release.version }),
		onSuccess: () => {
			queries.setQueryData(releasesQuery.queryKey, (list) =>
				list?.filter((other) => other.id !== release.id),
			);
			toast.success(`${release.name} deleted`);
			flushSync(onClose); // nothing behind an open dialog takes the focus
			onDeleted?.();
			focusHeading();
		},
		onSettled: () => {
			void queries.invalidateQueries({ queryKey: releasesQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});
	return (
		<Dialog
			title={`Delete ${release.name}?`}
			description="The release and its history are deleted; there is no way back. What runs on machines keeps running until it is removed there."
			onClose={onClose}
			footer={
				<>
					<Button onClick={onClose}>Cancel</Button>
					<Button
						variant="danger"
						disabled={!matches}
						busy={remove.isPending}
						onClick={() => remove.mutate()}
					>
						Delete
					</Button>
				</>
			}
		>
			<form
				noValidate
				onSubmit={(event) => {
					event.preventDefault();
					if (matches && !remove.isPending) remove.mutate();
				}}
			>
				<TextField
					label={`Type ${release.name} to confirm`}
					value={typed}
					onChange={setTyped}
					mono
					first
					error={
						remove.isError
							? hasCode(remove.error, "conflict")
								? "Somebody changed it meanwhile. Close this and look again before you delete it."
								: explain(remove.error)
							: undefined
					}
				/>
			</form>
		</Dialog>
	);
}
