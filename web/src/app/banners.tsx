import { useQueryClient } from "@tanstack/react-query";
import { CloudOff, LogOut } from "lucide-react";
import { type ReactNode, useEffect, useSyncExternalStore } from "react";
import { userQuery } from "#api/queries.ts";
import { status } from "#api/status.ts";
import { Button } from "#ui/button.tsx";
import { Command } from "#ui/command.tsx";

const askAgainAfter = 3_000; // milliseconds

/** What holds for the whole page: no server, no session. */
export function Banners() {
	const { reachable, signedIn } = useSyncExternalStore(status.subscribe, status.get);
	const online = useSyncExternalStore(subscribeOnline, () => navigator.onLine);
	const queries = useQueryClient();
	const check = () => void queries.refetchQueries({ queryKey: userQuery.queryKey });

	useEffect(() => {
		if (reachable) return;
		const timer = setInterval(async () => {
			if (await answers()) {
				status.set({ reachable: true });
				await queries.invalidateQueries();
			}
		}, askAgainAfter);
		return () => clearInterval(timer);
	}, [reachable, queries]);

	if (!reachable || !online) {
		return (
			<Banner icon={<CloudOff className="mt-0.5 size-4 shrink-0" aria-hidden />}>
				<p>
					{online ? "The server does not answer." : "You are offline."} What you typed stays here; save when
					the connection is back.
				</p>
			</Banner>
		);
	}
	if (signedIn === "no") {
		return (
			<Banner icon={<LogOut className="mt-0.5 size-4 shrink-0" aria-hidden />}>
				<div className="flex min-w-0 flex-1 flex-col gap-2">
					<p>
						You are signed out. What you typed stays here: sign in again in another tab, with this command,
						then save.
					</p>
					<div className="flex flex-wrap items-center gap-2">
						<div className="min-w-0 text-ink">
							<Command text="leger auth login" />
						</div>
						<Button onClick={check}>I have signed in</Button>
					</div>
				</div>
			</Banner>
		);
	}
	return null;
}

function Banner({ icon, children }: { icon: ReactNode; children: ReactNode }) {
	return (
		<div
			role="alert"
			className="sticky top-0 z-10 flex gap-2.5 border-b border-line bg-warn-soft px-4 py-2.5 text-sm text-warn sm:px-8"
		>
			{icon}
			{children}
		</div>
	);
}

function subscribeOnline(listener: () => void): () => void {
	window.addEventListener("online", listener);
	window.addEventListener("offline", listener);
	return () => {
		window.removeEventListener("online", listener);
		window.removeEventListener("offline", listener);
	};
}

async function answers(): Promise<boolean> {
	try {
		return (await fetch("/health", { cache: "no-store" })).ok;
	} catch {
		return false;
	}
}
