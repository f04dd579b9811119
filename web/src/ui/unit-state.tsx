const look = {
	active: "text-accent",
	failed: "text-danger",
	stopped: "text-warn",
	unknown: "text-muted",
};

/** How a release or a unit is doing on a machine, as systemd says it. */
export function UnitState({ state }: { state: keyof typeof look }) {
	return <span className={look[state]}>{state}</span>;
}
