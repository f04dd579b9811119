import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Calendar, FolderGit2, GitBranch, Plus, Server, Trash2 } from "lucide-react";
import { useState } from "react";
import { explain } from "#api/error.ts";
import { type HostSummary, installedQuery, type Release, releasesQuery } from "#api/queries.ts";
import { Button, buttonClass } from "#ui/button.tsx";
import { Command } from "#ui/command.tsx";
import { CopyButton } from "#ui/copy-button.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { SearchInput } from "#ui/search-input.tsx";
import { useShortcut } from "#ui/shortcuts.ts";
import { EmptyState, ErrorState } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { DeleteReleaseDialog } from "./delete-release-dialog.tsx";
import { deployCommand } from "./deploy-command.tsx";
import { RunningOn } from "./running-on.tsx";

export function ReleasesPage() {
	const navigate = useNavigate();
	const releases = useQuery(releasesQuery);
	useShortcut("n", () => void navigate({ to: "/releases/new" }));
	return (
		<PageLayout>
			<PageHeader
				title="Releases"
				description="Manage your quadlet deployment configurations"
				action={
					<Link to="/releases/new" className={buttonClass({ variant: "primary" })} aria-keyshortcuts="n">
						<Plus className="size-4" aria-hidden />
						Create Release
					</Link>
				}
			/>
			{releases.data !== undefined ? (
				<List releases={releases.data} />
			) : releases.isError ? (
				<ErrorState
					title="The releases could not be loaded"
					message={explain(releases.error)}
					onRetry={() => void releases.refetch()}
					retrying={releases.isFetching}
				/>
			) : (
				<div role="status" className="grid gap-4 pt-16 md:grid-cols-2">
					<span className="sr-only">Loading…</span>
					<div className="shimmer h-44" />
					<div className="shimmer h-44" />
				</div>
			)}
		</PageLayout>
	);
}

function List({ releases }: { releases: readonly Release[] }) {
	const hosts = useQuery(installedQuery).data ?? [];
	const [search, setSearch] = useState("");
	const [deleting, setDeleting] = useState<Release>();
	if (releases.length === 0) {
		return (
			<EmptyState
				title="No releases yet"
				action={
					<Link to="/releases/new" className={buttonClass({ variant: "primary" })}>
						Create First Release
					</Link>
				}
			>
				<p>
					A release names a Git repository of quadlets. Create your first release to get started, here or in a
					terminal:
				</p>
				<Command text="leger releases create NAME --git-url URL" />
			</EmptyState>
		);
	}
	const wanted = search.trim().toLowerCase();
	const shown = releases.filter((release) =>
		[release.name, release.git_url, release.git_branch, release.description].some((text) =>
			text.toLowerCase().includes(wanted),
		),
	);
	return (
		<>
			<div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2 py-4">
				<SearchInput label="Search releases" value={search} onChange={setSearch} />
				<p role="status" className="text-sm text-muted">
					{shown.length === 1 ? "1 release" : `${shown.length} releases`}
				</p>
			</div>
			{shown.length === 0 && (
				<p className="py-16 text-center text-muted">
					No release matches. <Button onClick={() => setSearch("")}>Clear the search</Button>
				</p>
			)}
			<ul className="grid grid-cols-1 gap-4 lg:grid-cols-2">
				{shown.map((release) => (
					<ReleaseCard
						key={release.id}
						release={release}
						hosts={hosts}
						onDelete={() => setDeleting(release)}
					/>
				))}
			</ul>
			{deleting !== undefined && (
				<DeleteReleaseDialog release={deleting} onClose={() => setDeleting(undefined)} />
			)}
		</>
	);
}

interface CardProps {
	release: Release;
	hosts: readonly HostSummary[];
	onDelete: () => void;
}

function ReleaseCard({ release, hosts, onDelete }: CardProps) {
	return (
		<li className="flex flex-col gap-3 rounded-lg border border-line bg-surface p-4">
			<div className="flex items-baseline justify-between gap-3">
				<h2 className="min-w-0 font-semibold break-all">
					<Link to="/releases/$id" params={{ id: release.id }} className="rounded hover:underline">
						{release.name}
					</Link>
				</h2>
				<span className="flex shrink-0 items-center gap-1 text-sm text-muted">
					Version {release.version}
					<Button
						small
						icon
						variant="ghost"
						className="-my-1 -mr-1.5"
						aria-label={`Delete ${release.name}`}
						title="Delete"
						onClick={onDelete}
					>
						<Trash2 className="size-4" aria-hidden />
					</Button>
				</span>
			</div>
			{release.description && <p className="line-clamp-2 break-words text-muted">{release.description}</p>}
			<dl className="grid grid-cols-[auto_minmax(0,1fr)] items-baseline gap-x-2.5 gap-y-1 text-sm [&_dt_svg]:size-3.5 [&_dt_svg]:translate-y-0.5 [&_dt_svg]:text-muted">
				<dt>
					<FolderGit2 aria-hidden />
					<span className="sr-only">Repository</span>
				</dt>
				<dd className="truncate" title={release.git_url}>
					{release.git_url}
				</dd>
				<dt>
					<GitBranch aria-hidden />
					<span className="sr-only">Branch</span>
				</dt>
				<dd className="truncate">
					{release.git_branch}
					{release.git_path && <span className="text-muted"> · in {release.git_path}</span>}
				</dd>
				<dt>
					<Calendar aria-hidden />
					<span className="sr-only">Updated</span>
				</dt>
				<dd>
					<Time at={release.updated_at} />
				</dd>
				<dt>
					<Server aria-hidden />
					<span className="sr-only">Runs on</span>
				</dt>
				<dd>
					<RunningOn release={release.name} hosts={hosts} />
				</dd>
			</dl>
			<div className="mt-auto flex flex-wrap gap-2 pt-1">
				<Link to="/releases/$id" params={{ id: release.id }} className={buttonClass({ small: true })}>
					Edit<span className="sr-only"> {release.name}</span>
				</Link>
				<CopyButton
					text={deployCommand(release.name)}
					what="Deploy command"
					label="Copy Deploy Command"
					small
				/>
			</div>
		</li>
	);
}
