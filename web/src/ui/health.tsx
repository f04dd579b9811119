import { CircleAlert, CircleCheck, CircleHelp, CircleX, type LucideIcon } from "lucide-react";
import { cx } from "./cx.ts";

export type HealthWord = "healthy" | "unhealthy" | "failed" | "unknown";

const look: Record<HealthWord, { icon: LucideIcon; colours: string }> = {
	healthy: { icon: CircleCheck, colours: "bg-accent-soft text-accent" },
	unhealthy: { icon: CircleAlert, colours: "bg-warn-soft text-warn" },
	failed: { icon: CircleX, colours: "bg-danger-soft text-danger" },
	unknown: { icon: CircleHelp, colours: "bg-raised text-muted" },
};

/** Whether a deployment does what it is there for: a word and a shape, never a colour alone. */
export function Health({ health }: { health: HealthWord }) {
	const { icon: Icon, colours } = look[health];
	return (
		<span
			className={cx(
				"inline-flex items-baseline gap-1 rounded-full px-2 text-sm font-medium whitespace-nowrap",
				colours,
			)}
		>
			<Icon className="size-3.5 shrink-0 self-center" aria-hidden />
			{health}
		</span>
	);
}

/** The health of what an older leger reports, which tells only what systemd says. */
export function healthOf(state: "active" | "failed" | "stopped" | "unknown"): HealthWord {
	return { active: "healthy", failed: "failed", stopped: "unhealthy", unknown: "unknown" }[
		state
	] as HealthWord;
}
