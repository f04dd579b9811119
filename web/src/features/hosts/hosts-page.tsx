import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { explain } from "#api/error.ts";
import {
	type Host,
	type HostSummary,
	hostQuery,
	hostsQuery,
	type Secret,
	secretsQuery,
} from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { Command } from "#ui/command.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { EmptyState, ErrorState, SkeletonRows } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { useInView } from "#ui/use-in-view.ts";
import { Deployments } from "./deployments.tsx";
import { ForgetDialog } from "./forget-dialog.tsx";

export function HostsPage() {
	const hosts = useQuery(hostsQuery);
	const secrets = useQuery(secretsQuery).data ?? [];
	return (
		<PageLayout>
			<PageHeader title="Machines" description="What each machine holds and runs, as it last reported" />
			{hosts.data === undefined ? (
				hosts.isError ? (
					<ErrorState
						title="The machines could not be loaded"
						message={explain(hosts.error)}
						onRetry={() => void hosts.refetch()}
						retrying={hosts.isFetching}
					/>
				) : (
					<SkeletonRows rows={3} />
				)
			) : hosts.data.length === 0 ? (
				<EmptyState title="No machine has reported yet">
					<p>A machine shows up here when it fetches secrets or installs a release. On the machine, type:</p>
					<Command text="leger secrets sync" />
				</EmptyState>
			) : (
				<div className="divide-y divide-line">
					{hosts.data.map((host) => (
						<HostSection key={host.device_id} host={host} secrets={secrets} />
					))}
				</div>
			)}
		</PageLayout>
	);
}

/** A machine. What it holds and runs is asked for when one comes to see it, as there may be many. */
function HostSection({ host, secrets }: { host: HostSummary; secrets: readonly Secret[] }) {
	const { ref, inView } = useInView();
	const whole = useQuery({ ...hostQuery(host.device_id), enabled: inView });
	const [forgetting, setForgetting] = useState(false);
	const versions = [
		host.cli_version && `leger ${host.cli_version}`,
		host.legerd_version && `legerd ${host.legerd_version}`,
		host.podman_version && `Podman ${host.podman_version}`,
	].filter(Boolean);
	return (
		<CategorySection
			title={host.name}
			description={
				<>
					Reported <Time at={host.last_seen} />
					<br />
					{versions.join(" · ")}
				</>
			}
			aside={
				<Button small variant="ghost" className="-ml-2" onClick={() => setForgetting(true)}>
					Forget<span className="sr-only"> {host.name}</span>
				</Button>
			}
		>
			<div ref={ref} className="flex min-h-32 flex-col gap-4">
				{whole.data !== undefined ? (
					<Reported host={whole.data} secrets={secrets} />
				) : (
					<Counts host={host}>
						{whole.isError && (
							<p role="alert" className="text-danger">
								{explain(whole.error)}{" "}
								<Button small busy={whole.isFetching} onClick={() => void whole.refetch()}>
									Try again<span className="sr-only"> to load {host.name}</span>
								</Button>
							</p>
						)}
					</Counts>
				)}
			</div>
			{forgetting && <ForgetDialog host={host} onClose={() => setForgetting(false)} />}
		</CategorySection>
	);
}

function Reported({ host, secrets }: { host: Host; secrets: readonly Secret[] }) {
	return (
		<>
			<div className="flex flex-col gap-1">
				<h3 className="text-sm font-medium">Secrets</h3>
				<HeldSecrets host={host} secrets={secrets} />
			</div>
			<div className="flex flex-col gap-1">
				<h3 className="text-sm font-medium">Releases</h3>
				<Deployments host={host} />
			</div>
		</>
	);
}

/** What the list tells of a machine, until the rest of it is there. */
function Counts({ host, children }: { host: HostSummary; children: ReactNode }) {
	const { secrets, deployments, grave_findings, other_findings } = host.counts;
	const findings = grave_findings + other_findings;
	return (
		<>
			<p className="text-muted">
				{secrets === 1 ? "1 secret" : `${secrets} secrets`}
				{" · "}
				{deployments === 1 ? "1 release" : `${deployments} releases`}
				{findings > 0 && ` · ${findings === 1 ? "1 finding" : `${findings} findings`}`}
			</p>
			{children}
		</>
	);
}

function HeldSecrets({ host, secrets }: { host: Host; secrets: readonly Secret[] }) {
	const held = new Map(host.secrets.map((secret) => [secret.name, secret]));
	const behind = secrets.filter((secret) => (held.get(secret.name)?.version ?? 0) < secret.version);
	if (secrets.length === 0) return <p className="text-muted">There are no secrets yet.</p>;
	return (
		<>
			<p>
				{secrets.length - behind.length} of {secrets.length} at their newest version
			</p>
			{behind.length > 0 && (
				<>
					<ul className="text-sm text-muted">
						{behind.map((secret) => {
							const version = held.get(secret.name)?.version;
							return (
								<li key={secret.name}>
									<code className="font-mono break-all text-ink">{secret.name}</code>:{" "}
									<span className="text-warn">
										{version === undefined
											? "not there yet"
											: `behind, version ${version} of ${secret.version}`}
									</span>
								</li>
							);
						})}
					</ul>
					<p className="text-sm text-muted">
						To bring it up to date, type <code className="font-mono">leger secrets sync</code> there.
					</p>
				</>
			)}
		</>
	);
}
