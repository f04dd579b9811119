import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery, type Session, sessionsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { ConfirmDialog } from "#ui/confirm-dialog.tsx";
import { Spinner } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { toast } from "#ui/toaster.tsx";
import { useSignOut } from "./sign-out.ts";
import { describeUserAgent } from "./user-agent.ts";

export function SessionsSection() {
	const sessions = useQuery(sessionsQuery);
	const [asking, setAsking] = useState(false);
	return (
		<>
			<CategorySection title="Sessions" description="The browsers that are signed in">
				{sessions.data !== undefined ? (
					<ul className="divide-y divide-line border-y border-line">
						{sessions.data.map((session) => (
							<SessionRow key={session.id} session={session} />
						))}
					</ul>
				) : sessions.isError ? (
					<p role="alert" className="flex flex-wrap items-center gap-3 text-danger">
						{explain(sessions.error)}
						<Button small onClick={() => void sessions.refetch()}>
							Try again
						</Button>
					</p>
				) : (
					<Spinner label="Loading the sessions…" />
				)}
				<div>
					<Button onClick={() => setAsking(true)}>Sign out everywhere else</Button>
				</div>
			</CategorySection>
			{asking && <EverywhereDialog onClose={() => setAsking(false)} />}
		</>
	);
}

function SessionRow({ session }: { session: Session }) {
	const queries = useQueryClient();
	const signOut = useSignOut();
	const end = useMutation({
		mutationFn: () => call("delete", "/api/sessions/{id}", { params: { id: session.id } }),
		onSuccess: () => toast.success("Signed out there"),
		onError: (error) => toast.error("It is still signed in", { description: explain(error) }),
		onSettled: () => queries.invalidateQueries({ queryKey: sessionsQuery.queryKey }),
	});
	const what = describeUserAgent(session.user_agent);
	return (
		<li className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 py-2.5">
			<div className="min-w-0">
				<p title={session.user_agent}>
					{what}
					{session.current && <span className="text-sm text-accent"> · this browser</span>}
				</p>
				<p className="text-sm text-muted">
					{session.remote_addr} · used <Time at={session.last_seen} /> · ends <Time at={session.expires_at} />
				</p>
			</div>
			{session.current ? (
				<Button small busy={signOut.isPending} onClick={() => signOut.mutate()}>
					Sign out
				</Button>
			) : (
				<Button small busy={end.isPending} onClick={() => end.mutate()} aria-label={`Sign out ${what}`}>
					Sign out
				</Button>
			)}
		</li>
	);
}

function EverywhereDialog({ onClose }: { onClose: () => void }) {
	const queries = useQueryClient();
	const end = useMutation({
		mutationFn: () => call("delete", "/api/sessions"),
		onSuccess: ({ sessions }) => {
			toast.success("Signed out everywhere else", {
				description: sessions === 1 ? "1 browser" : `${sessions} browsers`,
			});
			onClose();
		},
		onSettled: () => {
			void queries.invalidateQueries({ queryKey: sessionsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});
	return (
		<ConfirmDialog
			title="Sign out everywhere else?"
			description="Every other browser is signed out, and every command line that signed in with the shared secret. Machines with a key of their own stay: revoke those one by one."
			action="Sign out everywhere else"
			busy={end.isPending}
			error={end.isError ? explain(end.error) : undefined}
			onConfirm={() => end.mutate()}
			onClose={onClose}
		/>
	);
}
