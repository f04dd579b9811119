import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { type Host, type Release, releasesQuery } from "#api/queries.ts";
import { Health, healthOf } from "#ui/health.tsx";
import { Time } from "#ui/time.tsx";
import { UnitState } from "#ui/unit-state.tsx";

type Deployment = Host["deployments"][number];

/** What is installed on a machine and how it is, as the machine last said. */
export function Deployments({ host }: { host: Host }) {
	const releases = useQuery(releasesQuery).data ?? [];
	if (host.deployments.length === 0) return <p className="text-muted">No release is installed there.</p>;
	return (
		<ul className="divide-y divide-line border-y border-line">
			{host.deployments.map((deployment) => (
				<li key={deployment.release} className="flex flex-col gap-1 py-2.5">
					<DeploymentRow
						deployment={deployment}
						release={releases.find(({ name }) => name.toLowerCase() === deployment.release.toLowerCase())}
						machine={host.name}
					/>
				</li>
			))}
		</ul>
	);
}

interface RowProps {
	deployment: Deployment;
	release: Release | undefined;
	machine: string;
}

function DeploymentRow({ deployment, release, machine }: RowProps) {
	const { findings = [], units } = deployment;
	return (
		<>
			<div className="flex flex-wrap items-center gap-x-2 gap-y-1">
				{release === undefined ? (
					<span className="font-medium break-all">{deployment.release}</span>
				) : (
					<Link
						to="/releases/$id"
						params={{ id: release.id }}
						className="rounded font-medium break-all hover:underline"
					>
						{deployment.release}
					</Link>
				)}
				<Health health={deployment.health ?? healthOf(deployment.state)} />
			</div>
			<Origin deployment={deployment} newest={release?.version} />
			{units.length > 0 && (
				<ul aria-label={`Units of ${deployment.release}`} className="flex flex-wrap gap-x-4 text-sm">
					{units.map((unit) => (
						<li key={unit.name}>
							<code className="font-mono break-all">{unit.name}</code> <UnitState state={unit.state} />
						</li>
					))}
				</ul>
			)}
			{findings.length > 0 && (
				<Findings findings={findings} of={`${deployment.release} on ${machine}`} open={isIll(deployment)} />
			)}
		</>
	);
}

function isIll({ health }: Deployment): boolean {
	return health === "failed" || health === "unhealthy";
}

/** From where it is, and since when. */
function Origin({ deployment, newest }: { deployment: Deployment; newest: number | undefined }) {
	const { version, commit, generation } = deployment;
	return (
		<p className="text-sm text-muted">
			{version > 0 ? `version ${version}` : "installed from its own address"}
			{newest !== undefined && version > 0 && newest > version && (
				<span className="text-warn"> (behind, newest is {newest})</span>
			)}
			{commit && (
				<>
					{" · "}
					<code className="font-mono">{commit.slice(0, 10)}</code>
				</>
			)}
			{generation !== undefined && ` · generation ${generation}`}
			{" · "}installed <Time at={deployment.updated_at} />
			{deployment.reported_at !== undefined && (
				<>
					{" · "}checked <Time at={deployment.reported_at} />
				</>
			)}
		</p>
	);
}

interface FindingsProps {
	findings: NonNullable<Deployment["findings"]>;
	/** "web on box-1": two lists on one page are not called the same. */
	of: string;
	open: boolean;
}

/** What the owner may want to look at. The browser's own disclosure: keys and screen readers know it. */
function Findings({ findings, of, open }: FindingsProps) {
	return (
		<details open={open} className="group text-sm">
			<summary className="inline-flex min-h-6 cursor-pointer items-center gap-1 rounded pr-1 text-muted hover:text-ink">
				<ChevronRight
					className="size-4 shrink-0 motion-safe:transition-transform group-open:rotate-90"
					aria-hidden
				/>
				{findings.length === 1 ? "1 finding" : `${findings.length} findings`}
				<span className="sr-only"> about {of}</span>
			</summary>
			<ul className="mt-1 ml-2 flex flex-col gap-1 border-l border-line-strong pl-3">
				{findings.map((finding) => (
					<li key={`${finding.kind} ${finding.subject} ${finding.text}`} className="break-words">
						{finding.subject && (
							<>
								<code className="font-mono break-all">{finding.subject}</code>{" "}
							</>
						)}
						<span className="text-muted">{finding.text}</span>
					</li>
				))}
			</ul>
		</details>
	);
}
