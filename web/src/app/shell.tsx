import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { Activity, GitBranch, KeyRound, type LucideIcon, Menu, Server, Settings, X } from "lucide-react";
import { useEffect, useState } from "react";
import { explain, hasCode } from "#api/error.ts";
import { userQuery } from "#api/queries.ts";
import { onTabMessage, status } from "#api/status.ts";
import { SignedOutPage } from "#features/auth/signed-out-page.tsx";
import { Button } from "#ui/button.tsx";
import { cx } from "#ui/cx.ts";
import { Mark } from "#ui/mark.tsx";
import { useSaveShortcut, useShortcut } from "#ui/shortcuts.ts";
import { ErrorState, SkeletonRows } from "#ui/states.tsx";
import { saveUnsaved } from "#ui/unsaved.ts";
import { Banners } from "./banners.tsx";
import { HelpDialog } from "./help-dialog.tsx";
import { UnsavedGuard } from "./unsaved-guard.tsx";

const items: { to: string; label: string; icon: LucideIcon }[] = [
	{ to: "/api-keys", label: "API keys", icon: KeyRound },
	{ to: "/releases", label: "Releases", icon: GitBranch },
	{ to: "/hosts", label: "Machines", icon: Server },
	{ to: "/activity", label: "Activity", icon: Activity },
	{ to: "/settings", label: "Settings", icon: Settings },
];

/** Navigation and everything that holds for all pages of who is signed in. */
export function Shell() {
	const user = useQuery(userQuery);
	useSessionOfOtherTabs(user.data?.user_uuid);
	if (user.data === undefined && hasCode(user.error, "invalid_token")) return <SignedOutPage />;
	return (
		<div className="min-h-dvh md:grid md:grid-cols-[13rem_minmax(0,1fr)]">
			<a
				href="#main"
				className="sr-only z-10 rounded-md bg-accent px-3 py-2 text-on-accent focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
			>
				Skip to content
			</a>
			<Navigation account={user.data?.display_name ?? user.data?.email} />
			<div className="flex min-w-0 flex-col">
				<Banners />
				<main id="main" tabIndex={-1} className="flex-1 outline-none">
					{user.data !== undefined ? (
						<Outlet />
					) : user.isError ? (
						<ErrorState
							title="Leger does not answer"
							message={explain(user.error)}
							onRetry={() => void user.refetch()}
							retrying={user.isFetching}
						/>
					) : (
						<div className="mx-auto max-w-5xl px-4 pt-8 sm:px-8">
							<div className="shimmer h-7 w-48" />
							<SkeletonRows />
						</div>
					)}
				</main>
			</div>
			<UnsavedGuard />
		</div>
	);
}

function Navigation({ account }: { account: string | undefined }) {
	const [open, setOpen] = useState(false);
	const [help, setHelp] = useState(false);
	const path = useLocation({ select: (location) => location.pathname });
	useShortcut("?", () => setHelp(true));
	useSaveShortcut(saveUnsaved);
	// biome-ignore lint/correctness/useExhaustiveDependencies: closes when the page changes
	useEffect(() => setOpen(false), [path]);
	return (
		<header className="border-line border-b md:border-r md:border-b-0">
			<div className="flex flex-col md:sticky md:top-0 md:h-dvh">
				<div className="flex items-center justify-between px-4 py-3 md:pt-5">
					<Link to="/api-keys" className="rounded-md">
						<Mark />
					</Link>
					<Button
						variant="ghost"
						icon
						className="md:hidden"
						aria-expanded={open}
						aria-controls="navigation"
						aria-label="Menu"
						onClick={() => setOpen(!open)}
					>
						{open ? <X className="size-4" aria-hidden /> : <Menu className="size-4" aria-hidden />}
					</Button>
				</div>
				<nav
					id="navigation"
					aria-label="Pages"
					className={cx("flex-1 flex-col px-2 pb-3 md:flex", open ? "flex" : "hidden")}
				>
					{items.map(({ to, label, icon: Icon }) => (
						<Link
							key={to}
							to={to}
							className="flex h-8 items-center gap-2.5 rounded-md px-2 text-muted hover:bg-raised hover:text-ink aria-[current=page]:bg-raised aria-[current=page]:font-medium aria-[current=page]:text-ink"
						>
							<Icon className="size-4" aria-hidden />
							{label}
						</Link>
					))}
					<div className="mt-3 flex items-center justify-between gap-2 border-t border-line px-2 pt-3 md:mt-auto">
						<span className="min-w-0 truncate text-sm text-muted" title={account}>
							{account}
						</span>
						<Button
							variant="ghost"
							icon
							small
							aria-label="Keyboard shortcuts"
							title="Keyboard shortcuts"
							onClick={() => setHelp(true)}
						>
							?
						</Button>
					</div>
				</nav>
			</div>
			{help && <HelpDialog onClose={() => setHelp(false)} />}
		</header>
	);
}

/**
 * Follows sign-ins and sign-outs of the other tabs. What is typed here stays, but
 * never with another account: then the page starts anew.
 */
function useSessionOfOtherTabs(account: string | undefined): void {
	const queries = useQueryClient();
	const [first, setFirst] = useState(account);
	if (first === undefined && account !== undefined) setFirst(account);
	useEffect(() => {
		if (first !== undefined && account !== undefined && first !== account) location.reload();
	}, [first, account]);
	useEffect(
		() =>
			onTabMessage((message) => {
				if (message === "signed-out") status.set({ signedIn: "no" });
				else void queries.invalidateQueries();
			}),
		[queries],
	);
}
