import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import {
	auditQuery,
	type Invitation,
	invitationsQuery,
	type Machine,
	machinesQuery,
	signInMethodsQuery,
} from "#api/queries.ts";
import { Button, buttonClass } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { Spinner } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { toast } from "#ui/toaster.tsx";
import { InviteDialog, MachineDialog, RevokeDialog } from "./machine-dialogs.tsx";

type Asking = { about: "invitation" } | { about: "change" | "revoke"; machine: Machine };

/** Machines that sign in with a key of their own, and invitations that are open. */
export function MachinesSection() {
	const machines = useQuery(machinesQuery);
	const invitations = useQuery(invitationsQuery).data ?? [];
	const methods = useQuery(signInMethodsQuery).data ?? [];
	// Dialogs stand outside the section, which is a form.
	const [asking, setAsking] = useState<Asking>();
	const close = () => setAsking(undefined);
	return (
		<>
			<CategorySection title="Signed-in machines" description="Each has a key of its own">
				{machines.data !== undefined ? (
					machines.data.length === 0 ? (
						<p className="text-muted">
							No machine is signed in yet. On a machine, type{" "}
							<code className="font-mono">leger auth login</code>.
						</p>
					) : (
						<ul className="divide-y divide-line border-y border-line">
							{machines.data.map((machine) => (
								<MachineRow key={machine.id} machine={machine} onAsk={setAsking} />
							))}
						</ul>
					)
				) : machines.isError ? (
					<p role="alert" className="flex flex-wrap items-center gap-3 text-danger">
						{explain(machines.error)}
						<Button small onClick={() => void machines.refetch()}>
							Try again
						</Button>
					</p>
				) : (
					<Spinner label="Loading the machines…" />
				)}
				{invitations.length > 0 && (
					<div className="flex flex-col gap-1">
						<h3 className="text-sm font-medium">Open invitations</h3>
						<ul className="divide-y divide-line border-y border-line">
							{invitations.map((invitation) => (
								<InvitationRow key={invitation.id} invitation={invitation} />
							))}
						</ul>
					</div>
				)}
				<div className="flex flex-wrap gap-2">
					<Link to="/machines/connect" className={buttonClass()}>
						Enter a code
					</Link>
					<Button onClick={() => setAsking({ about: "invitation" })}>Invite a machine…</Button>
				</div>
				{methods.includes("shared-secret") && (
					<p className="text-sm text-muted">
						This server accepts the shared secret: whoever has it can sign in as anybody. Delete the copies of
						it on machines that are listed here.
					</p>
				)}
			</CategorySection>
			{asking?.about === "invitation" && <InviteDialog onClose={close} />}
			{asking?.about === "change" && <MachineDialog machine={asking.machine} onClose={close} />}
			{asking?.about === "revoke" && <RevokeDialog machine={asking.machine} onClose={close} />}
		</>
	);
}

function MachineRow({ machine, onAsk }: { machine: Machine; onAsk: (asking: Asking) => void }) {
	return (
		<li className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 py-2.5">
			<div className="min-w-0">
				<p className="break-words">
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

function InvitationRow({ invitation }: { invitation: Invitation }) {
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
