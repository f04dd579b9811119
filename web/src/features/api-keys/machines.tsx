import { useQuery } from "@tanstack/react-query";
import { type HostSummary, machinesQuery, type Scope } from "#api/queries.ts";
import { Time } from "#ui/time.tsx";
import { describeScope, isGiven } from "./scope.ts";

/** Which machines a secret is given to, and which version of it they hold. */
export function Machines({
	name,
	version,
	scope,
	hosts,
}: {
	name: string;
	version: number;
	scope: Scope | undefined;
	hosts: readonly HostSummary[];
}) {
	const machines = useQuery(machinesQuery).data ?? [];
	return (
		<>
			{scope !== undefined && <p className="text-sm text-muted">Given to {describeScope(scope, machines)}</p>}
			{hosts.length > 0 && (
				<ul className="flex flex-wrap gap-x-3 text-xs text-muted" aria-label={`Machines with ${name}`}>
					{hosts.map((host) => (
						<li key={host.device_id}>
							<span className="text-ink">{host.name}</span>:{" "}
							<Held
								held={host.secrets?.find((secret) => secret.name === name)}
								version={version}
								given={isGiven(
									scope,
									machines.find((machine) => machine.id === host.device_id),
								)}
							/>
						</li>
					))}
				</ul>
			)}
		</>
	);
}

interface HeldProps {
	held: { version: number; synced_at: string } | undefined;
	version: number;
	given: boolean;
}

function Held({ held, version, given }: HeldProps) {
	if (held === undefined) {
		return given ? <span className="text-warn">not there yet</span> : <>not given</>;
	}
	if (!given) return <span className="text-warn">there until its next sync</span>;
	const behind = held.version < version;
	return (
		<>
			<span className={behind ? "text-warn" : undefined}>
				{behind ? `behind, version ${held.version}` : `version ${held.version}`}
			</span>
			, <Time at={held.synced_at} />
		</>
	);
}
