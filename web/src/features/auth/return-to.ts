/**
 * The page that was asked for while signed out. The link opens in a tab of its
 * own, so it is kept where all tabs see it: a path, never a value.
 */
const key = "leger.return-to";
const goodFor = 15 * 60_000; // milliseconds
const pages =
	/^\/(api-keys(\?new=[\w-]{1,128})?|releases(\/[a-z0-9-]+)?|hosts|machines\/connect(\?code=[A-Za-z]{4}-[A-Za-z]{4})?|activity|settings)$/;

export function rememberPage(path: string, now: number): void {
	if (!pages.test(path)) return;
	try {
		localStorage.setItem(key, JSON.stringify({ path, until: now + goodFor }));
	} catch {
		// Storage is turned off: the first page will do.
	}
}

/** The page to go to after sign-in; it is asked for once. */
export function takePage(now: number): string {
	try {
		const kept = JSON.parse(localStorage.getItem(key) ?? "{}");
		localStorage.removeItem(key);
		if (typeof kept.path === "string" && pages.test(kept.path) && kept.until > now) return kept.path;
	} catch {
		// as above
	}
	return "/api-keys";
}
