import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Server } from "lucide-react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery, type Invitation, invitationsQuery, type Machine } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Time } from "#ui/time.tsx";
import { toast } from "#ui/toaster.tsx";

/** What somebody wants to do with a machine. */
export interface AboutMachine {
	about: "change" | "revoke";
	machine: Machine;
}

export function MachineRow({ machine, onAsk }: { machine: Machine; onAsk: (asking: AboutMachine) => void }) {
	return (
		<li className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 py-2.5">
			<div className="min-w-0">
				<p className="break-words">
					<Server className="mr-2 inline size-4 align-text-bottom text-muted" aria-hidden />
					<span className="font-medium">{machine.name}</span>
					<span className="text-muted">
						{" "}
						· {machine.unix_user} · {machine.role}
						{machine.groups.length > 0 && ` · ${machine.groups.join(", ")}`}
					</span>
				</p>
				<p className="text-sm text-muted">
					seen <Time at={machine.last_seen} /> from {machine.last_addr} · enrolled{" "}
					<Time at={machine.enrolled_at} /> by {machine.enrolled_by.replace("-", " ")}
				</p>
				<p className="font-mono text-xs break-all text-muted">{machine.fingerprint}</p>
			</div>
			<div className="flex gap-2">
				<Button small onClick={() => onAsk({ about: "change", machine })}>
					Change<span className="sr-only"> {machine.name}</span>
				</Button>
				<Button small variant="danger" onClick={() => onAsk({ about: "revoke", machine })}>
					Revoke<span className="sr-only"> {machine.name}</span>
				</Button>
			</div>
		</li>
	);
}

export function InvitationRow({ invitation }: { invitation: Invitation }) {
	const queries = useQueryClient();
	const name = invitation.name ?? "A machine";
	const withdraw = useMutation({
		mutationFn: () => call("delete", "/api/invitations/{id}", { params: { id: invitation.id } }),
		onSuccess: () => toast.success("Invitation withdrawn"),
		onError: (error) => toast.error("It is still open", { description: explain(error) }),
		onSettled: () => {
			void queries.invalidateQueries({ queryKey: invitationsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});
	return (
		<li className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 py-2.5">
			<p className="min-w-0 break-words">
				{name}
				<span className="text-muted">
					{" "}
					· {invitation.role} · ends <Time at={invitation.expires_at} />
				</span>
			</p>
			<Button small busy={withdraw.isPending} onClick={() => withdraw.mutate()}>
				Withdraw<span className="sr-only"> the invitation of {name}</span>
			</Button>
		</li>
	);
}
