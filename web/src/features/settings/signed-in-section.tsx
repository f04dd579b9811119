import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { explain } from "#api/error.ts";
import {
	invitationsQuery,
	type Machine,
	machinesQuery,
	type Session,
	sessionsQuery,
	signInMethodsQuery,
} from "#api/queries.ts";
import { Button, buttonClass } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { Spinner } from "#ui/states.tsx";
import { LinkDialog } from "./link-dialog.tsx";
import { InviteDialog, MachineDialog, RevokeDialog } from "./machine-dialogs.tsx";
import { type AboutMachine, InvitationRow, MachineRow } from "./machine-row.tsx";
import { EverywhereDialog, SessionRow } from "./session-row.tsx";

type Asking = AboutMachine | { about: "invitation" | "link" | "everywhere" };

/** Where somebody is signed in: browsers by a session, machines with a key of their own. */
export function SignedInSection() {
	const sessions = useQuery(sessionsQuery);
	const machines = useQuery(machinesQuery);
	const invitations = useQuery(invitationsQuery).data ?? [];
	const methods = useQuery(signInMethodsQuery).data ?? [];
	// Dialogs stand outside the section, which is a form.
	const [asking, setAsking] = useState<Asking>();
	const close = () => setAsking(undefined);
	const failed = [sessions, machines].filter((query) => query.isError && query.data === undefined);
	return (
		<>
			<CategorySection
				title="Signed in"
				description="Browsers, for 30 days at most, and machines, which have a key of their own"
			>
				{failed.map((query) => (
					<p
						key={query.error?.message}
						role="alert"
						className="flex flex-wrap items-center gap-3 text-danger"
					>
						{query.error && explain(query.error)}
						<Button small onClick={() => void query.refetch()}>
							Try again
						</Button>
					</p>
				))}
				{sessions.isPending || machines.isPending ? (
					<Spinner label="Loading what is signed in…" />
				) : (
					<ul className="divide-y divide-line border-y border-line">
						{inOrder(sessions.data ?? [], machines.data ?? []).map((one) =>
							"session" in one ? (
								<SessionRow key={one.session.id} session={one.session} />
							) : (
								<MachineRow key={one.machine.id} machine={one.machine} onAsk={setAsking} />
							),
						)}
					</ul>
				)}
				{machines.data?.length === 0 && (
					<p className="text-muted">
						No machine is signed in yet. On a machine, type{" "}
						<code className="font-mono">leger auth login</code>.
					</p>
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
					<Button onClick={() => setAsking({ about: "link" })}>Sign another browser in…</Button>
					<Link to="/machines/connect" className={buttonClass()}>
						Enter a code
					</Link>
					<Button onClick={() => setAsking({ about: "invitation" })}>Invite a machine…</Button>
					<Button onClick={() => setAsking({ about: "everywhere" })}>Sign out everywhere else</Button>
				</div>
				{methods.includes("shared-secret") && (
					<p className="text-sm text-muted">
						This server accepts the shared secret: whoever has it can sign in as anybody. Delete the copies of
						it on machines that are listed here.
					</p>
				)}
			</CategorySection>
			{asking?.about === "link" && <LinkDialog onClose={close} />}
			{asking?.about === "everywhere" && <EverywhereDialog onClose={close} />}
			{asking?.about === "invitation" && <InviteDialog onClose={close} />}
			{asking?.about === "change" && <MachineDialog machine={asking.machine} onClose={close} />}
			{asking?.about === "revoke" && <RevokeDialog machine={asking.machine} onClose={close} />}
		</>
	);
}

type SignedIn = { at: string } & ({ session: Session } | { machine: Machine });

/** This browser first, then what was used last. */
function inOrder(sessions: readonly Session[], machines: readonly Machine[]): SignedIn[] {
	const all: SignedIn[] = [
		...sessions.map((session) => ({ at: session.last_seen, session })),
		...machines.map((machine) => ({ at: machine.last_seen, machine })),
	];
	const current = (one: SignedIn) => Number("session" in one && one.session.current);
	return all.sort((a, b) => current(b) - current(a) || (a.at < b.at ? 1 : -1));
}
