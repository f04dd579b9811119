import type { HostSummary } from "#api/queries.ts";
import { Time } from "#ui/time.tsx";

/** Which machines hold which version of a secret. */
export function Machines({
	name,
	version,
	hosts,
}: {
	name: string;
	version: number;
	hosts: readonly HostSummary[];
}) {
	if (hosts.length === 0) return null;
	return (
		<ul className="flex flex-wrap gap-x-3 text-xs text-muted" aria-label={`Machines with ${name}`}>
			{hosts.map((host) => {
				const held = host.secrets?.find((secret) => secret.name === name);
				const behind = held === undefined || held.version < version;
				return (
					<li key={host.device_id}>
						<span className="text-ink">{host.name}</span>:{" "}
						{held === undefined ? (
							<span className="text-warn">not there yet</span>
						) : (
							<>
								<span className={behind ? "text-warn" : undefined}>
									{behind ? `behind, version ${held.version}` : `version ${held.version}`}
								</span>
								, <Time at={held.synced_at} />
							</>
						)}
					</li>
				);
			})}
		</ul>
	);
}
