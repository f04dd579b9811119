import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Globe } from "lucide-react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery, type Session, sessionsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { ConfirmDialog } from "#ui/confirm-dialog.tsx";
import { Time } from "#ui/time.tsx";
import { toast } from "#ui/toaster.tsx";
import { useSignOut } from "./sign-out.ts";
import { describeUserAgent } from "./user-agent.ts";

export function SessionRow({ session }: { session: Session }) {
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
					<Globe className="mr-2 inline size-4 align-text-bottom text-muted" aria-hidden />
					<span className="font-medium">{what}</span>
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

export function EverywhereDialog({ onClose }: { onClose: () => void }) {
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
