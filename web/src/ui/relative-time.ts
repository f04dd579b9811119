const units: [Intl.RelativeTimeFormatUnit, number][] = [
	["year", 365 * 86_400],
	["month", 30 * 86_400],
	["week", 7 * 86_400],
	["day", 86_400],
	["hour", 3_600],
	["minute", 60],
];

/** "2 days ago", "in 3 hours", "just now"; both in milliseconds since 1970. */
export function relativeTime(at: number, now: number): string {
	const seconds = Math.round((at - now) / 1000);
	const format = new Intl.RelativeTimeFormat("en", { numeric: "always" });
	for (const [unit, size] of units) {
		if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
	}
	return "just now";
}
