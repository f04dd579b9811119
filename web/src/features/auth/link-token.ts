/**
 * The token of a sign-in link. This module is the first thing the app loads, so
 * that the token leaves the address bar, and with it the history, before
 * anything else happens.
 */
let token: string | null = null;

const parameters = new URLSearchParams(location.search);
if (parameters.has("token")) {
	token = parameters.get("token");
	history.replaceState(null, "", location.pathname);
}

/** Kept until it was used: an exchange that never reached the server can be tried again. */
export function linkToken(): string | null {
	return token;
}

export function forgetLinkToken(): void {
	token = null;
}
