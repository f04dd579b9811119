import { api, expect, signInAs, test } from "./world.ts";

const signedOut = /401 \(Unauthorized\)/;

test("a link signs in, and its token is in neither the address bar nor the history", async ({
	page,
	server,
}) => {
	await page.goto("/auth-error");
	const link = await server.loginLink("alice@example.com");
	await page.goto(link);
	await expect(page).toHaveURL("/api-keys");
	await page.goBack();
	await expect(page).toHaveURL(/\/auth-error$/);
	await page.goForward();
	await expect(page).toHaveURL("/api-keys");
	await page.reload();
	await expect(page.getByRole("heading", { name: "API Keys & Integrations" })).toBeVisible();
});

test("the token leaves the address bar before the server is asked", async ({ page, server }) => {
	let address = "";
	await page.route("**/api/auth/validate", async (route) => {
		address = page.url();
		await route.continue();
	});
	await signInAs(page, server, "early@example.com");
	expect(address).toBe(`${server.url}/auth`);
});

test("sign-in goes on to the page first asked for", async ({ page, server, context, expectComplaints }) => {
	expectComplaints(signedOut);
	await page.goto("/settings");
	await expect(page.getByRole("heading", { name: "You are signed out" })).toBeVisible();
	await expect(page.getByText("leger auth login")).toBeVisible();
	const linkTab = await context.newPage();
	await linkTab.goto(await server.loginLink("first@example.com"));
	await expect(linkTab).toHaveURL("/settings");
	// The tab that was waiting goes on by itself.
	await expect(page.getByRole("heading", { name: "Settings", level: 1 })).toBeVisible();
});

// The server decides how one signs in. Its word reaches the page, and asking for it
// does not make the page think that somebody is signed in.
test("how to sign in is what the server says", async ({ page, expectComplaints }) => {
	expectComplaints(signedOut);
	await page.goto("/signed-out");
	await expect(page.getByText("leger auth login")).toBeVisible();
	await page.route("**/api/auth/methods", (route) =>
		route.fulfill({ json: { success: true, data: { methods: [{ name: "stars" }, { name: "cards" }] } } }),
	);
	await page.goto("/settings");
	await expect(page.getByText("This server asks you to sign in by stars or cards")).toBeVisible();
	await expect(page.getByRole("heading", { name: "You are signed out" })).toBeVisible();
	await expect(page.getByText("leger auth login")).toBeHidden();
});

test.describe("on the tailnet", () => {
	// The address that the test's browser is said to come from; tailscaled knows one.
	test.use({
		server: async ({ tailnetServer }, use) => use(tailnetServer),
		extraHTTPHeaders: { "X-Forwarded-For": "100.64.0.7" },
	});

	test("one click signs in as who Tailscale says", async ({ page, expectComplaints }) => {
		expectComplaints(signedOut);
		await page.goto("/settings");
		await expect(page.getByRole("heading", { name: "You are signed out" })).toBeVisible();
		await page.getByRole("button", { name: "Sign in with Tailscale" }).click();
		await expect(page.getByRole("heading", { name: "Settings", level: 1 })).toBeVisible();
		await expect(page.getByText("phone-owner@example.com").first()).toBeVisible();
	});

	test("the keyboard does it, too, from the page of a link that was used", async ({
		page,
		expectComplaints,
	}) => {
		expectComplaints(signedOut);
		await page.goto("/auth-error?reason=refused");
		await expect(page.getByRole("button", { name: "Sign in with Tailscale" })).toBeVisible();
		await page.keyboard.press("Tab");
		await expect(page.getByRole("button", { name: "Sign in with Tailscale" })).toBeFocused();
		await page.keyboard.press("Enter");
		await expect(page).toHaveURL("/api-keys");
	});
});

test.describe("off the tailnet", () => {
	test.use({
		server: async ({ tailnetServer }, use) => use(tailnetServer),
		extraHTTPHeaders: { "X-Forwarded-For": "192.0.2.9" },
	});

	test("a refusal says what to do instead", async ({ page, expectComplaints }) => {
		expectComplaints(/401 \(Unauthorized\)|403 \(Forbidden\)/);
		await page.goto("/signed-out");
		await page.getByRole("button", { name: "Sign in with Tailscale" }).click();
		await expect(page.getByRole("alert")).toContainText("Tailscale does not say who you are");
		await expect(page.getByText("leger auth login").first()).toBeVisible();
		await expect(page.getByRole("button", { name: "Sign in with Tailscale" })).toBeEnabled();
	});
});

test("a link used twice says so, and how to get another", async ({
	page,
	server,
	context,
	expectComplaints,
}) => {
	expectComplaints(signedOut);
	const link = await server.loginLink("twice@example.com");
	await page.goto(link);
	await expect(page).toHaveURL("/api-keys");
	await context.clearCookies();
	await page.goto(link);
	await expect(page).toHaveURL("/auth-error?reason=refused");
	await expect(page.getByRole("heading", { name: "This link does not work any more" })).toBeVisible();
	await expect(page.getByText("leger auth login")).toBeVisible();
	await expect(page.getByRole("button", { name: "Copy command" })).toBeVisible();
});

test("an expired link says the same", async ({ page, server, expectComplaints }) => {
	expectComplaints(signedOut);
	await page.goto(await server.expiredLink("late@example.com"));
	await expect(page.getByRole("heading", { name: "This link does not work any more" })).toBeVisible();
});

test("a link without its token says so", async ({ page }) => {
	await page.goto("/auth");
	await expect(page).toHaveURL("/auth-error?reason=missing");
	await expect(page.getByRole("heading", { name: "This link is not complete" })).toBeVisible();
});

test("a link opened while the server is away works when it is back", async ({
	page,
	server,
	expectComplaints,
}) => {
	expectComplaints(/Failed to load resource/);
	const link = await server.loginLink("patient@example.com");
	await page.route("**/api/auth/validate", (route) => route.abort("connectionrefused"));
	await page.goto(link);
	await expect(page.getByRole("alert")).toContainText("The link still works");
	await page.unroute("**/api/auth/validate");
	await page.getByRole("button", { name: "Try again" }).click();
	await expect(page).toHaveURL("/api-keys");
});

test("signing out ends the session in every tab", async ({ page, context, signIn, expectComplaints }) => {
	expectComplaints(signedOut);
	await signIn("/settings");
	const other = await context.newPage();
	await other.goto("/releases");
	await expect(other.getByRole("heading", { name: "Releases", level: 1 })).toBeVisible();
	await page.getByRole("main").getByRole("button", { name: "Sign out", exact: true }).first().click();
	await expect(page).toHaveURL("/signed-out");
	await expect(page.getByRole("heading", { name: "You are signed out" })).toBeVisible();
	await expect(other.getByText("You are signed out.")).toBeVisible();
	expect((await page.request.get("/api/user")).status()).toBe(401);
	await page.goBack();
	await expect(page.getByRole("heading", { name: "You are signed out" })).toBeVisible();
});

test("without JavaScript a page says what it needs", async ({ browser, server }) => {
	const context = await browser.newContext({ javaScriptEnabled: false, baseURL: server.url });
	const page = await context.newPage();
	await page.goto("/api-keys");
	// Playwright's text search passes over <noscript>.
	await expect(page.locator("noscript p")).toBeVisible();
	await expect(page.locator("noscript p")).toContainText("Leger's pages need JavaScript");
	await context.close();
});

test("/ leads to the API keys", async ({ page, signIn }) => {
	await signIn("/");
	await expect(page).toHaveURL("/api-keys");
	const user = await api<{ email: string }>(page, "/api/user");
	expect(user.email).toMatch(/^user\d+@example.com$/);
});
