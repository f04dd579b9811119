const browsers: [RegExp, string][] = [
	[/Edg\//, "Edge"],
	[/OPR\//, "Opera"],
	[/Firefox\//, "Firefox"],
	[/Chrom(e|ium)\//, "Chrome"],
	[/Safari\//, "Safari"],
];
const systems: [RegExp, string][] = [
	[/Android/, "Android"],
	[/iPhone|iPad/, "iOS"],
	[/Windows/, "Windows"],
	[/Mac OS X/, "macOS"],
	[/Linux|X11/, "Linux"],
];

/** "Firefox on Linux" for a User-Agent header; what it cannot tell, it leaves out. */
export function describeUserAgent(text: string): string {
	const name = (list: [RegExp, string][]) => list.find(([pattern]) => pattern.test(text))?.[1];
	const browser = name(browsers) ?? "A browser";
	const system = name(systems);
	return system === undefined ? browser : `${browser} on ${system}`;
}
