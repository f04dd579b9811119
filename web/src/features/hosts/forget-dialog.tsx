import { useMutation, useQueryClient } from "@tanstack/react-query";
import { flushSync } from "react-dom";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery, type HostSummary, hostsQuery } from "#api/queries.ts";
import { ConfirmDialog } from "#ui/confirm-dialog.tsx";
import { focusHeading } from "#ui/page.tsx";
import { toast } from "#ui/toaster.tsx";

export function ForgetDialog({ host, onClose }: { host: HostSummary; onClose: () => void }) {
	const queries = useQueryClient();
	const forget = useMutation({
		mutationFn: () => call("delete", "/api/hosts/{device_id}", { params: { device_id: host.device_id } }),
		onSuccess: () => {
			queries.setQueryData(hostsQuery.queryKey, (list) =>
				list?.filter((other) => other.device_id !== host.device_id),
			);
			toast.success(`${host.name} forgotten`);
			flushSync(onClose); // nothing behind an open dialog takes the focus
			focusHeading();
		},
		onSettled: () => {
			void queries.invalidateQueries({
				queryKey: hostsQuery.queryKey,
				predicate: ({ queryKey }) => !queryKey.includes(host.device_id), // it is not there to be asked for
			});
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});
	return (
		<ConfirmDialog
			title={`Forget ${host.name}?`}
			description="It is taken off this list. What it holds and runs stays on it, and its next report brings it back here."
			action="Forget"
			busy={forget.isPending}
			error={forget.isError ? explain(forget.error) : undefined}
			onConfirm={() => forget.mutate()}
			onClose={onClose}
		/>
	);
}
