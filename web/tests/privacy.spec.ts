import type { Page } from "@playwright/test";
import { pages } from "./pages.ts";
import { expect, signInAs, test } from "./world.ts";

const canary = "sk-canary-5f0e1d2c3b4a";

/** All that the page and the browser keep for this origin, as one text. */
async function kept(page: Page): Promise<string> {
	return await page.evaluate(async () => {
		const parts = [document.documentElement.outerHTML, location.href, JSON.stringify(history.state)];
		for (const input of document.querySelectorAll("input, textarea")) {
			parts.push((input as HTMLInputElement).value);
		}
		parts.push(JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie);
		for (const { name } of await indexedDB.databases()) parts.push(`database ${name}`);
		for (const name of await caches.keys()) {
			for (const request of await (await caches.open(name)).keys()) parts.push(request.url);
		}
		for (const entry of performance.getEntriesByType("resource")) parts.push(entry.name);
		parts.push(`workers ${(await navigator.serviceWorker?.getRegistrations())?.length ?? 0}`);
		return parts.join("\n");
	});
}

test("a value is nowhere once it is saved", async ({
	page,
	server,
	context,
	complaints,
	expectComplaints,
}) => {
	expectComplaints(/400 \(/); // the page of a release that is none
	const answers: string[] = [];
	const addresses: string[] = [];
	context.on("request", (request) => addresses.push(request.url()));
	context.on("response", async (response) => {
		if (response.url().includes("/api/")) answers.push(await response.text().catch(() => ""));
	});
	await signInAs(page, server, "canary@example.com");
	const field = (name: string) => page.getByRole("textbox", { name, exact: true });

	await field("OpenAI API Key").fill(`${canary}-provider`);
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(page.getByText("Set · version 1")).toHaveCount(1);
	await page.getByRole("button", { name: "Replace openai_api_key" }).click();
	await field("openai_api_key New value").fill(`${canary}-replaced`);
	await page.keyboard.press("Enter");
	await expect(page.getByText("Set · version 2")).toBeVisible();
	await field("Name").fill("custom");
	await field("Value").fill(`${canary}-custom`);
	await page.getByRole("button", { name: "Save New secret" }).click();
	await expect(page.getByRole("region", { name: "Custom secrets" })).toBeVisible();
	await page.getByRole("button", { name: "Import .env" }).click();
	await field("Content of the file").fill(`IMPORTED=${canary}-imported`);
	await page.getByRole("button", { name: "Preview" }).click();
	await page.getByRole("button", { name: "Import 1 secret" }).click();
	await expect(page.getByText("1 secret imported")).toBeVisible();

	expect(await kept(page)).not.toContain(canary);
	for (const { path } of pages) {
		await page.goto(path);
		await page.waitForLoadState("networkidle");
		expect(await kept(page), path).not.toContain(canary);
	}
	await page.goBack();
	expect(await kept(page)).not.toContain(canary);
	const state = JSON.stringify(await context.storageState({ indexedDB: true }));
	expect(state).not.toContain(canary);
	expect(answers.join("\n")).toContain("openai_api_key");
	expect(answers.join("\n")).not.toContain(canary);
	expect(addresses.join("\n")).not.toContain(canary);
	expect(complaints.join("\n")).not.toContain(canary);
});

test("the link's token is kept nowhere either", async ({ page, server }) => {
	const link = await server.loginLink("token@example.com");
	const token = new URL(link).searchParams.get("token") ?? "";
	await page.goto(link);
	await expect(page).toHaveURL("/api-keys");
	const everything = await page.evaluate(() =>
		[
			document.documentElement.outerHTML,
			JSON.stringify(localStorage),
			JSON.stringify(sessionStorage),
			document.cookie,
		].join("\n"),
	);
	expect(everything).not.toContain(token);
	expect(everything).not.toContain("leger_session");
});

test("every page holds under the policy, without inline script or style", async ({
	page,
	signIn,
	complaints,
}) => {
	await page.addInitScript(() => {
		document.addEventListener("securitypolicyviolation", (event) => {
			console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
		});
	});
	await signIn();
	const created = await page.request.post("/api/releases", {
		data: { name: "r", git_url: "https://host/a" },
	});
	const { id } = (await created.json()).data;
	for (const { path, heading } of pages) {
		const response = await page.goto(path.replace("ID", id));
		expect(response?.headers()["content-security-policy"]).toContain("default-src 'none'");
		await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
		await page.waitForLoadState("networkidle");
		expect(await page.locator("style, script:not([src]), [onclick]").count(), path).toBe(0);
	}
	expect(complaints).toEqual([]);
	// The policy is in force, and a breach would have been seen.
	await page.evaluate(() => {
		const script = document.createElement("script");
		script.textContent = "window.broken = true";
		document.body.append(script);
	});
	await expect.poll(() => complaints.some((text) => text.includes("policy: script-src"))).toBe(true);
	expect(await page.evaluate(() => "broken" in window)).toBe(false);
	complaints.length = 0;
});

test("the first load is at most 150 KB of compressed JavaScript", async ({ page, server }) => {
	const sizes = new Map<string, number>();
	page.on("response", async (response) => {
		if (!new URL(response.url()).pathname.endsWith(".js")) return;
		const raw = await fetch(response.url(), { headers: { "Accept-Encoding": "gzip" } });
		// What a client without brotli gets, which is the larger form.
		sizes.set(response.url(), Number(raw.headers.get("content-length")));
		expect(response.headers()["content-encoding"], response.url()).toMatch(/^(br|gzip)$/);
	});
	await signInAs(page, server, "budget@example.com");
	await page.waitForLoadState("networkidle");
	await expect.poll(() => sizes.size).toBeGreaterThanOrEqual(3);
	const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
	expect(total).toBeGreaterThan(20_000);
	expect(total).toBeLessThanOrEqual(150_000);
});
