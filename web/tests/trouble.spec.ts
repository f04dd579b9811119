import type { Page } from "@playwright/test";
import { pages } from "./pages.ts";
import { Server } from "./server.ts";
import { expect, signInAs, test } from "./world.ts";

const field = (page: Page, name: string) => page.getByRole("textbox", { name, exact: true });

/** Holds requests back until it is opened, also those that come later. */
function gate(): { passed: Promise<void>; open: () => void } {
	let open = () => {};
	const passed = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { passed, open };
}

test.describe("a server of its own", () => {
	test.use({
		// biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameters
		server: async ({}, use) => {
			const server = await Server.start();
			await use(server);
			await server.remove();
		},
	});

	test("the server goes away and comes back: what is typed stays, and is saved", async ({
		page,
		signIn,
		server,
		expectComplaints,
	}) => {
		expectComplaints(/Failed to load resource/);
		await signIn();
		await field(page, "OpenAI API Key").fill("sk-patient");
		await server.stop();
		await page.getByRole("button", { name: "Save OpenAI" }).click();
		await expect(page.getByText("The server does not answer. What you typed stays here")).toBeVisible();
		await expect(field(page, "OpenAI API Key")).toHaveValue("sk-patient");
		await server.restart();
		await expect(page.getByText("The server does not answer. What you typed stays here")).toBeHidden({
			timeout: 15_000,
		});
		await page.getByRole("button", { name: "Save OpenAI" }).click();
		await expect(page.getByText("Set · version 1")).toBeVisible();
	});

	test("a page opened while the API is away offers another try", async ({
		page,
		signIn,
		expectComplaints,
	}) => {
		expectComplaints(/Failed to load resource/);
		await signIn();
		await page.route("**/api/releases*", (route) => route.abort("connectionrefused"));
		await page.goto("/releases");
		await expect(page.getByRole("heading", { name: "The releases could not be loaded" })).toBeVisible({
			timeout: 15_000,
		});
		await page.unroute("**/api/releases*");
		await page.getByRole("button", { name: "Try again" }).click();
		await expect(page.getByRole("heading", { name: "No releases yet" })).toBeVisible();
	});

	test("too many requests: it says when to try again", async ({ page, server, expectComplaints }) => {
		expectComplaints(/429 \(/);
		await signInAs(page, server, "fast@example.com");
		await field(page, "OpenAI API Key").fill("sk-fast");
		await server.stop();
		await server.restart(["--rate-limit", "0.05"]);
		let status = 0;
		for (let i = 0; i < 20 && status !== 429; i++) status = (await page.request.get("/api/user")).status();
		expect(status).toBe(429);
		await page.getByRole("button", { name: "Save OpenAI" }).click();
		await expect(page.getByText(/Too many requests. Try again in \d+ seconds./)).toBeVisible();
		await expect(field(page, "OpenAI API Key")).toHaveValue("sk-fast");
	});
});

test("the session ends while typing: what was typed survives signing in in another tab", async ({
	page,
	context,
	server,
	expectComplaints,
}) => {
	expectComplaints(/401 \(/);
	await signInAs(page, server, "typing@example.com");
	await field(page, "OpenAI API Key").fill("sk-survives");
	await context.clearCookies();
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(page.getByText("You are signed out. What you typed stays here:")).toBeVisible();
	await expect(field(page, "OpenAI API Key")).toHaveValue("sk-survives");

	const other = await context.newPage();
	await signInAs(other, server, "typing@example.com");
	await page.bringToFront();
	await expect(page.getByText("You are signed out. What you typed stays here:")).toBeHidden();
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(page.getByText("Set · version 1")).toBeVisible();
});

test("another account in another tab: nothing typed is saved into it", async ({
	page,
	context,
	server,
	expectComplaints,
}) => {
	expectComplaints(/401 \(/);
	await signInAs(page, server, "one@example.com");
	await field(page, "OpenAI API Key").fill("sk-of-one");
	page.on("dialog", (dialog) => dialog.accept());
	const other = await context.newPage();
	await signInAs(other, server, "two@example.com");
	await page.bringToFront();
	await expect(field(page, "OpenAI API Key")).toHaveValue("");
	await page.goto("/settings");
	await expect(page.getByRole("region", { name: "Profile" })).toContainText("two@example.com");
});

test("offline and online again", async ({ page, context, signIn, expectComplaints }) => {
	expectComplaints(/ERR_INTERNET_DISCONNECTED/);
	await signIn();
	await context.setOffline(true);
	await expect(page.getByText("You are offline.")).toBeVisible();
	await context.setOffline(false);
	await expect(page.getByText("You are offline.")).toBeHidden();
});

test("a body over the limit and an error of the server are told, and nothing is lost", async ({
	page,
	signIn,
	expectComplaints,
}) => {
	expectComplaints(/(413|500) \(/);
	await signIn();
	const fail = (status: number, code: string, message: string) =>
		page.route("**/api/secrets/*", (route) =>
			route.fulfill({
				status,
				json: { success: false, error: { code, message, request_id: "00ff00ff00ff00ff" } },
			}),
		);
	await field(page, "OpenAI API Key").fill("sk-kept");
	await fail(413, "too_large", "the value is larger than 65536 bytes");
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(page.getByText("The value is larger than 65536 bytes.")).toBeVisible();
	await page.unroute("**/api/secrets/*");
	await fail(500, "internal", "something went wrong here");
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(page.getByText("The server's log has the cause under 00ff00ff00ff00ff.")).toBeVisible();
	await expect(field(page, "OpenAI API Key")).toHaveValue("sk-kept");
});

test("one of two fields fails: it says which, and keeps it", async ({ page, signIn, expectComplaints }) => {
	expectComplaints(/400 \(/);
	await signIn();
	await page.route("**/api/secrets/openai_org_id", (route) =>
		route.fulfill({
			status: 400,
			json: {
				success: false,
				error: { code: "invalid_request", message: "no", request_id: "00ff00ff00ff00ff" },
			},
		}),
	);
	await field(page, "OpenAI API Key").fill("sk-good");
	await field(page, "OpenAI Organization ID (optional)").fill("org-bad");
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(page.getByText("Set · version 1")).toHaveCount(1);
	await expect(field(page, "OpenAI Organization ID (optional)")).toHaveValue("org-bad");
	await expect(field(page, "OpenAI Organization ID (optional)")).toHaveAttribute("aria-invalid", "true");
});

test("a slow server: the page says that it loads, and a save is sent once", async ({ page, signIn }) => {
	await signIn();
	let saves = 0;
	const secretsHeld = gate();
	await page.route("**/api/secrets/*", async (route) => {
		saves++;
		await secretsHeld.passed;
		await route.continue();
	});
	await field(page, "OpenAI API Key").fill("sk-slow");
	const save = page.getByRole("button", { name: "Save OpenAI" });
	await save.click();
	await expect(save).toHaveAttribute("aria-busy", "true");
	await save.click({ force: true });
	await page.keyboard.press("Control+s");
	secretsHeld.open();
	await expect(page.getByText("Set · version 1")).toBeVisible();
	expect(saves).toBe(1);

	const releasesHeld = gate();
	await page.route("**/api/releases*", async (route) => {
		await releasesHeld.passed;
		await route.continue();
	});
	await page.getByRole("link", { name: "Releases" }).click();
	await expect(page.getByRole("status").filter({ hasText: "Loading…" })).toBeVisible();
	releasesHeld.open();
	await expect(page.getByRole("heading", { name: "No releases yet" })).toBeVisible();
});

test("every page survives a reload, back and forward", async ({ page, signIn }) => {
	await signIn();
	const created = await page.request.post("/api/releases", {
		data: { name: "r", git_url: "https://host/a" },
	});
	const { id } = (await created.json()).data;
	for (const { path, heading } of pages) {
		await page.goto(path.replace("ID", id));
		await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
		await page.reload();
		await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
	}
	for (const { heading } of pages.slice(0, -1).reverse()) {
		await page.goBack();
		await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
	}
	for (const { heading } of pages.slice(1)) {
		await page.goForward();
		await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
	}
});

test("a page of an older build that is gone asks for a reload", async ({
	page,
	signIn,
	expectComplaints,
}) => {
	expectComplaints(/404 \(|dynamically imported module|MIME/);
	await signIn();
	await page.route("**/assets/activity-page-*.js", (route) => route.fulfill({ status: 404, body: "" }));
	await page.getByRole("link", { name: "Activity" }).click();
	await expect(page.getByRole("heading", { name: "This page could not be loaded" })).toBeVisible();
	await page.unroute("**/assets/activity-page-*.js");
	await page.getByRole("button", { name: "Try again" }).click();
	await expect(page.getByRole("heading", { level: 1, name: "Activity" })).toBeVisible();
});
