import { useMutation, useQueryClient } from "@tanstack/react-query";
import { flushSync } from "react-dom";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { auditQuery, type HostSummary, type Secret, secretsQuery } from "#api/queries.ts";
import { ConfirmDialog } from "#ui/confirm-dialog.tsx";
import { focusHeading } from "#ui/page.tsx";
import { toast } from "#ui/toaster.tsx";

interface Props {
	secret: Secret;
	hosts: readonly HostSummary[];
	onClose: () => void;
}

export function DeleteDialog({ secret, hosts, onClose }: Props) {
	const queries = useQueryClient();
	const holders = hosts.filter((host) => host.secrets?.some((held) => held.name === secret.name));
	const remove = useMutation({
		mutationFn: () =>
			call("delete", "/api/secrets/{name}", { params: { name: secret.name }, ifMatch: secret.version }),
		onSuccess: () => {
			queries.setQueryData(secretsQuery.queryKey, (list) =>
				list?.filter((other) => other.name !== secret.name),
			);
			toast.success(`${secret.name} deleted`);
			flushSync(onClose); // nothing behind an open dialog takes the focus
			focusHeading();
		},
		onSettled: () => {
			void queries.invalidateQueries({ queryKey: secretsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});
	return (
		<ConfirmDialog
			title={`Delete ${secret.name}?`}
			description="Every value it ever had is deleted with it. There is no way back. Containers that use it do not start any more after the next sync."
			action="Delete"
			busy={remove.isPending}
			error={
				remove.isError
					? hasCode(remove.error, "conflict")
						? "Somebody gave it a new value meanwhile. Close this and look again before you delete it."
						: explain(remove.error)
					: undefined
			}
			onConfirm={() => remove.mutate()}
			onClose={onClose}
		>
			{holders.length > 0 && (
				<p className="text-muted">
					It is on {holders.map((host) => host.name).join(", ")}, until{" "}
					<code className="font-mono text-sm">leger secrets sync</code> runs there.
				</p>
			)}
		</ConfirmDialog>
	);
}
