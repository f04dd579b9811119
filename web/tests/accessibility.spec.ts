import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "@playwright/test";
import type { AxeResults } from "axe-core";
import { pages } from "./pages.ts";
import { expect, test } from "./world.ts";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What axe finds, as "rule: selector". */
async function axe(page: Page): Promise<string[]> {
	await page.evaluate(source);
	const results = await page.evaluate(
		(values) =>
			(window as unknown as { axe: typeof import("axe-core") }).axe.run({
				runOnly: values,
			}) as Promise<AxeResults>,
		tags,
	);
	expect(results.passes.length, "axe looked at nothing").toBeGreaterThan(5);
	return results.violations.flatMap((violation) =>
		violation.nodes.map((node) => `${violation.id}: ${node.target.join(" ")} ${node.failureSummary ?? ""}`),
	);
}

async function fill(page: Page): Promise<string> {
	for (const name of ["openai_api_key", "openai_api_key", "database_password"]) {
		await page.request.post(`/api/secrets/${name}`, { data: { value: `${Math.random()}` } });
	}
	const release = await page.request.post("/api/releases", {
		data: { name: "my-openwebui", git_url: "https://github.com/alice/quadlets", description: "OpenWebUI" },
	});
	return (await release.json()).data.id;
}

/** Dialogs and states that a page shows only after something was done. */
const states: [string, string, (page: Page) => Promise<void>][] = [
	["replace", "/api-keys", (page) => page.getByRole("button", { name: "Replace openai_api_key" }).click()],
	["history", "/api-keys", (page) => page.getByRole("button", { name: "History of openai_api_key" }).click()],
	["delete", "/api-keys", (page) => page.getByRole("button", { name: "Delete openai_api_key" }).click()],
	["import", "/api-keys", (page) => page.getByRole("button", { name: "Import .env" }).click()],
	[
		"errors",
		"/api-keys",
		async (page) => {
			await page.getByRole("textbox", { name: "Name", exact: true }).fill("-bad");
			await page.getByRole("button", { name: "Save New secret" }).click();
		},
	],
	["help", "/api-keys", (page) => page.keyboard.press("?")],
	[
		"delete release",
		"/releases",
		(page) => page.getByRole("button", { name: "Delete my-openwebui" }).click(),
	],
	["delete account", "/settings", (page) => page.getByRole("button", { name: "Delete account…" }).click()],
	[
		"server away",
		"/settings",
		async (page) => {
			await expect(page.getByRole("textbox", { name: "Display Name" })).toBeVisible();
			await page.route("**/api/**", (route) => route.abort());
			await page.route("**/health", (route) => route.abort());
			await page.getByRole("textbox", { name: "Display Name" }).fill("x");
			await page.getByRole("button", { name: "Save Display Name" }).click();
			await expect(page.getByText("The server does not answer.").first()).toBeVisible();
		},
	],
];

for (const theme of ["light", "dark"] as const) {
	for (const width of [320, 768, 1280]) {
		test(`axe finds nothing: ${theme}, ${width} pixels`, async ({ page, signIn, expectComplaints }) => {
			test.setTimeout(180_000);
			expectComplaints(/Failed to load resource/);
			await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
			await page.setViewportSize({ width, height: 900 });
			await signIn();
			const id = await fill(page);
			const found: string[] = [];
			const look = async (where: string) => {
				for (const violation of await axe(page)) found.push(`${where}: ${violation}`);
				const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
				if (over > 0) found.push(`${where}: ${over} pixels too wide`);
			};
			for (const { path, heading } of pages) {
				await page.goto(path.replace("ID", id));
				await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
				await page.waitForLoadState("networkidle");
				await look(path);
			}
			for (const [name, path, act] of states) {
				await page.goto(path);
				await act(page);
				await page.waitForLoadState("networkidle");
				await look(name);
			}
			expect(found).toEqual([]);
		});
	}
}

test("targets are at least 24 pixels", async ({ page, signIn }) => {
	await signIn();
	const id = await fill(page);
	for (const { path, heading } of pages) {
		await page.goto(path.replace("ID", id));
		await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
		await page.waitForLoadState("networkidle");
		const small = await page
			.locator("button:visible, input:visible, textarea:visible, label:has(input):visible, nav a:visible")
			.evaluateAll((elements) =>
				elements
					// A radio button or checkbox is hit through its label.
					.filter((element) => !(element instanceof HTMLInputElement && element.closest("label")))
					.map((element) => ({ name: element.outerHTML.slice(0, 80), box: element.getBoundingClientRect() }))
					.filter(({ box }) => box.width < 24 || box.height < 24)
					.map(({ name, box }) => `${name} ${box.width}×${box.height}`),
			);
		expect(small, path).toEqual([]);
	}
});

test("a page says where one is: title, heading, focus, skip link", async ({ page, signIn }) => {
	await signIn();
	await page.getByRole("link", { name: "Releases" }).click();
	await expect(page).toHaveTitle("Releases · Leger");
	await expect(page.getByRole("heading", { level: 1, name: "Releases" })).toBeFocused();
	await expect(page.getByRole("link", { name: "Releases" })).toHaveAttribute("aria-current", "page");
	await page.goto("/settings");
	await expect(page.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
	await page.keyboard.press("Tab");
	await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
	await page.keyboard.press("Enter");
	await expect(page.getByRole("main")).toBeFocused();
});
