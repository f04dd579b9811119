import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery, hostsQuery, invitationsQuery, type Machine, machinesQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Command } from "#ui/command.tsx";
import { ConfirmDialog } from "#ui/confirm-dialog.tsx";
import { CopyButton } from "#ui/copy-button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { toast } from "#ui/toaster.tsx";
import { type Terms, TermsFields, termsBody } from "./machine-terms.tsx";

function useRefresh() {
	const queries = useQueryClient();
	return () => {
		for (const { queryKey } of [machinesQuery, invitationsQuery, hostsQuery, auditQuery]) {
			void queries.invalidateQueries({ queryKey });
		}
	};
}

export function MachineDialog({ machine, onClose }: { machine: Machine; onClose: () => void }) {
	const refresh = useRefresh();
	const [terms, setTerms] = useState<Terms>({
		name: machine.name,
		role: machine.role,
		groups: machine.groups.join(", "),
	});
	const change = useMutation({
		mutationFn: () =>
			call("patch", "/api/machines/{id}", { params: { id: machine.id }, body: termsBody(terms) }),
		onSuccess: ({ name }) => {
			toast.success(`${name} changed`);
			onClose();
		},
		onSettled: refresh,
	});
	return (
		<Dialog
			title={`Change ${machine.name}`}
			onClose={onClose}
			footer={
				<>
					<Button onClick={onClose}>Cancel</Button>
					<Button variant="primary" busy={change.isPending} onClick={() => change.mutate()}>
						Save
					</Button>
				</>
			}
		>
			<form
				noValidate
				onSubmit={(event) => {
					event.preventDefault();
					if (!change.isPending) change.mutate();
				}}
			>
				<TermsFields terms={terms} onChange={setTerms} ownName={machine.name} first />
				{/* Enter saves. */}
				<button type="submit" hidden />
			</form>
			{change.isError && (
				<p role="alert" className="mt-3 text-danger">
					{explain(change.error)}
				</p>
			)}
		</Dialog>
	);
}

export function RevokeDialog({ machine, onClose }: { machine: Machine; onClose: () => void }) {
	const refresh = useRefresh();
	const revoke = useMutation({
		mutationFn: () => call("delete", "/api/machines/{id}", { params: { id: machine.id } }),
		onSuccess: () => {
			toast.success(`${machine.name} revoked`);
			onClose();
		},
		onSettled: refresh,
	});
	return (
		<ConfirmDialog
			title={`Revoke ${machine.name}?`}
			description="Its next request is refused, and what it reported is forgotten. It keeps the secrets that it has: change those that it should not know any more."
			action="Revoke"
			busy={revoke.isPending}
			error={revoke.isError ? explain(revoke.error) : undefined}
			onConfirm={() => revoke.mutate()}
			onClose={onClose}
		/>
	);
}

export function InviteDialog({ onClose }: { onClose: () => void }) {
	const refresh = useRefresh();
	const [terms, setTerms] = useState<Terms>({ name: "", role: "deliver", groups: "" });
	const invite = useMutation({
		mutationFn: () => call("post", "/api/invitations", { body: termsBody(terms) }),
		onSettled: refresh,
	});
	const text = invite.data?.invitation;
	if (text !== undefined) {
		return (
			<Dialog
				title="The invitation"
				description="It enrols one machine, within an hour, and is shown only now. Whoever has it can use it."
				onClose={onClose}
				footer={
					<Button variant="primary" onClick={onClose} data-first>
						Done
					</Button>
				}
			>
				<div className="flex flex-col gap-3">
					<div className="flex items-center gap-2">
						<code className="min-w-0 flex-1 font-mono text-sm break-all select-all">{text}</code>
						<CopyButton text={text} what="Invitation" small />
					</div>
					<p className="text-muted">On the machine, type this, paste the invitation, and press Ctrl+D:</p>
					<Command text={`leger auth login --server ${location.origin} --invitation-file -`} />
				</div>
			</Dialog>
		);
	}
	return (
		<Dialog
			title="Invite a machine"
			description="For a machine without a person or a browser: a server, cloud-init, a container."
			onClose={onClose}
			footer={
				<>
					<Button onClick={onClose}>Cancel</Button>
					<Button variant="primary" busy={invite.isPending} onClick={() => invite.mutate()}>
						Make the invitation
					</Button>
				</>
			}
		>
			<form
				noValidate
				onSubmit={(event) => {
					event.preventDefault();
					if (!invite.isPending) invite.mutate();
				}}
			>
				<TermsFields terms={terms} onChange={setTerms} first />
				{/* Enter makes it. */}
				<button type="submit" hidden />
			</form>
			{invite.isError && (
				<p role="alert" className="mt-3 text-danger">
					{explain(invite.error)}
				</p>
			)}
		</Dialog>
	);
}
