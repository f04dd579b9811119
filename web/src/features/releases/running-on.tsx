import type { HostSummary } from "#api/queries.ts";
import { Health, healthOf } from "#ui/health.tsx";
import { Time } from "#ui/time.tsx";

/** Where a release runs, and at which version. */
export function RunningOn({ release, hosts }: { release: string; hosts: readonly HostSummary[] }) {
	const running = hosts.flatMap((host) =>
		(host.deployments ?? [])
			.filter((deployment) => deployment.release.toLowerCase() === release.toLowerCase())
			.map((deployment) => ({ host, deployment })),
	);
	if (running.length === 0) return <span className="text-muted">No machine reports that it runs this</span>;
	return (
		<ul>
			{running.map(({ host, deployment }) => (
				<li key={host.device_id}>
					{host.name}{" "}
					<span className="text-muted">
						· <Health health={deployment.health ?? healthOf(deployment.state)} /> ·{" "}
						<Time at={deployment.updated_at} />
					</span>
				</li>
			))}
		</ul>
	);
}
