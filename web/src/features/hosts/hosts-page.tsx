import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { explain } from "#api/error.ts";
import { type Host, hostsQuery, releasesQuery, type Secret, secretsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { Command } from "#ui/command.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { EmptyState, ErrorState, SkeletonRows } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { UnitState } from "#ui/unit-state.tsx";
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

function HostSection({ host, secrets }: { host: Host; secrets: readonly Secret[] }) {
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
			<div className="flex flex-col gap-1">
				<h3 className="text-sm font-medium">Secrets</h3>
				<HeldSecrets host={host} secrets={secrets} />
			</div>
			<div className="flex flex-col gap-1">
				<h3 className="text-sm font-medium">Releases</h3>
				<Deployments host={host} />
			</div>
			{forgetting && <ForgetDialog host={host} onClose={() => setForgetting(false)} />}
		</CategorySection>
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

function Deployments({ host }: { host: Host }) {
	const releases = useQuery(releasesQuery).data ?? [];
	if (host.deployments.length === 0) return <p className="text-muted">No release is installed there.</p>;
	return (
		<ul className="divide-y divide-line border-y border-line">
			{host.deployments.map((deployment) => {
				const release = releases.find(({ name }) => name.toLowerCase() === deployment.release.toLowerCase());
				return (
					<li key={deployment.release} className="flex flex-col gap-0.5 py-2">
						<p>
							{release === undefined ? (
								<span className="font-medium">{deployment.release}</span>
							) : (
								<Link
									to="/releases/$id"
									params={{ id: release.id }}
									className="rounded font-medium hover:underline"
								>
									{deployment.release}
								</Link>
							)}
							<span className="text-sm text-muted">
								{" "}
								{deployment.version > 0
									? ` · version ${deployment.version}`
									: " · installed from its own address"}
								{release !== undefined && deployment.version > 0 && release.version > deployment.version && (
									<span className="text-warn"> (behind, newest is {release.version})</span>
								)}{" "}
								{deployment.commit && (
									<>
										· <code className="font-mono">{deployment.commit.slice(0, 10)}</code>{" "}
									</>
								)}
								· <UnitState state={deployment.state} /> · <Time at={deployment.updated_at} />
							</span>
						</p>
						<ul className="flex flex-wrap gap-x-4 text-sm">
							{deployment.units.map((unit) => (
								<li key={unit.name}>
									<code className="font-mono break-all">{unit.name}</code> <UnitState state={unit.state} />
								</li>
							))}
						</ul>
					</li>
				);
			})}
		</ul>
	);
}
