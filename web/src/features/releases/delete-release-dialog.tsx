import { useMutation, useQueryClient } from "@tanstack/react-query";
import { flushSync } from "react-dom";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { auditQuery, type Release, releasesQuery } from "#api/queries.ts";
import { ConfirmDialog } from "#ui/confirm-dialog.tsx";
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
		<ConfirmDialog
			title={`Delete ${release.name}?`}
			description="The release and its history are deleted; there is no way back. What runs on machines keeps running until it is removed there."
			action="Delete"
			phrase={release.name}
			busy={remove.isPending}
			error={
				remove.isError
					? hasCode(remove.error, "conflict")
						? "Somebody changed it meanwhile. Close this and look again before you delete it."
						: explain(remove.error)
					: undefined
			}
			onConfirm={() => remove.mutate()}
			onClose={onClose}
		/>
	);
}
