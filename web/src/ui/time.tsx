import { useSyncExternalStore } from "react";
import { relativeTime } from "./relative-time.ts";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

/** One clock for all times of the page. */
function subscribe(listener: () => void): () => void {
	now = Date.now();
	listeners.add(listener);
	timer ??= setInterval(() => {
		now = Date.now();
		for (const tell of listeners) tell();
	}, 30_000);
	return () => {
		listeners.delete(listener);
		if (listeners.size > 0) return;
		clearInterval(timer);
		timer = undefined;
	};
}

/** A time relative to now; the full time on hover. */
export function Time({ at }: { at: string }) {
	const date = new Date(at);
	const current = useSyncExternalStore(subscribe, () => now);
	const full = date.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
	return (
		<time dateTime={at} title={full} className="whitespace-nowrap">
			{relativeTime(date.getTime(), current)}
		</time>
	);
}
