import { mkdir } from "node:fs/promises";
import type { Page } from "@playwright/test";
import type { Server } from "./server.ts";
import { expect, signInAs, test } from "./world.ts";

const widths = [320, 768, 1280];
const themes = ["light", "dark"] as const;

const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

async function report(server: Server, email: string) {
	await server.report(email, "box-1", {
		legerd_version: "0.1.0",
		podman_version: "5.8.1",
		secrets: [
			{ name: "anthropic_api_key", version: 1, synced_at: ago(2) },
			{ name: "database_password", version: 1, synced_at: ago(2) },
			{ name: "openai_api_key", version: 2, synced_at: ago(2) },
			{ name: "smtp_password", version: 1, synced_at: ago(2) },
		],
		deployments: [
			{
				release: "my-openwebui",
				version: 1,
				commit: "4f2c9e1ab03d4f2c9e1ab03d4f2c9e1ab03d0000",
				state: "active",
				updated_at: ago(1440),
				units: [
					{ name: "openwebui.service", state: "active" },
					{ name: "litellm.service", state: "active" },
				],
			},
		],
	});
	await server.report(email, "gpu-2", {
		secrets: [{ name: "openai_api_key", version: 1, synced_at: ago(4320) }],
	});
}

async function put(page: Page, name: string, value: string) {
	const response = await page.request.post(`/api/secrets/${name}`, { data: { value } });
	expect(response.ok()).toBe(true);
}

async function fill(page: Page) {
	await put(page, "openai_api_key", "sk-one");
	await put(page, "openai_api_key", "sk-two");
	await put(page, "anthropic_api_key", "sk-ant-one");
	await put(page, "database_password", "one");
	await put(page, "smtp_password", "one");
	for (const [name, description] of [
		["my-openwebui", "OpenWebUI with LiteLLM in front of three providers"],
		["paperless", ""],
		["immich", "Photos of the family"],
	]) {
		const response = await page.request.post("/api/releases", {
			data: { name, description, git_url: `https://github.com/alice/${name}`, git_branch: "main" },
		});
		expect(response.ok()).toBe(true);
	}
}

/** A name, where it is, and what to do there first. */
const shots: [string, string, ((page: Page) => Promise<void>)?][] = [
	["api-keys", "/api-keys"],
	[
		"api-keys-dirty",
		"/api-keys",
		async (page) => {
			await page.getByRole("button", { name: "Replace openai_api_key" }).click();
			await page.getByRole("textbox", { name: "openai_api_key New value" }).fill("pk-something");
		},
	],
	[
		"api-keys-history",
		"/api-keys",
		async (page) => page.getByRole("button", { name: "History of openai_api_key" }).click(),
	],
	[
		"api-keys-delete",
		"/api-keys",
		async (page) => page.getByRole("button", { name: "Delete openai_api_key" }).click(),
	],
	[
		"api-keys-import",
		"/api-keys",
		async (page) => {
			await page.getByRole("button", { name: "Import .env" }).click();
			await page
				.getByRole("textbox", { name: "Content of the file" })
				.fill("OPENAI_API_KEY=sk-two\nGROQ_API_KEY=gsk_1\nDATABASE_PASSWORD=x\nbad.name=1\nnonsense");
			await page.getByRole("button", { name: "Preview" }).click();
			await expect(page.getByText("Nothing is saved yet")).toBeVisible();
		},
	],
	["releases", "/releases"],
	["release-new", "/releases/new"],
	[
		"release-edit",
		"/releases",
		async (page) => {
			await page.getByRole("link", { name: "my-openwebui", exact: true }).click();
			await expect(page.getByText("Created")).toBeVisible();
		},
	],
	[
		"release-errors",
		"/releases/new",
		async (page) => {
			await page.getByRole("textbox", { name: "Release Name" }).fill("-x");
			await page.getByRole("textbox", { name: "Git Repository URL" }).fill("ftp://x");
			await page.getByRole("textbox", { name: "Git Branch" }).fill("a..b");
			await page.getByRole("textbox", { name: "Description" }).click();
		},
	],
	["hosts", "/hosts"],
	["activity", "/activity"],
	["settings", "/settings"],
	[
		"settings-delete",
		"/settings",
		async (page) => page.getByRole("button", { name: "Delete account…" }).click(),
	],
	["help", "/api-keys", async (page) => page.keyboard.press("?")],
	[
		"menu",
		"/releases",
		async (page) => {
			const menu = page.getByRole("button", { name: "Menu" });
			if (await menu.isVisible()) await menu.click();
		},
	],
	["not-found", "/no/such/page"],
	["auth-error", "/auth-error?reason=refused"],
	["signed-out", "/signed-out"],
];

test("every page and state", async ({ page, server, expectComplaints }) => {
	expectComplaints(/Failed to load resource/);
	await mkdir("screenshots", { recursive: true });
	await page.emulateMedia({ reducedMotion: "reduce" });
	await signInAs(page, server, "alice@github");
	await page.screenshot({ path: "screenshots/api-keys-empty-light-1280.png", fullPage: true });
	await page.goto("/releases");
	await expect(page.getByText("No releases yet")).toBeVisible();
	await page.screenshot({ path: "screenshots/releases-empty-light-1280.png", fullPage: true });
	await fill(page);
	await report(server, "alice@github");
	await page.setViewportSize({ width: 1280, height: 800 });
	for (const [name, path, colorScheme] of [
		["api-keys", "/api-keys", "light"],
		["releases", "/releases", "dark"],
	] as const) {
		await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
		await page.goto(path);
		await page.waitForLoadState("networkidle");
		await page.screenshot({ path: `screenshots/readme-${name}.png` });
	}
	const only = process.env.SHOTS?.split(",");
	for (const theme of themes) {
		await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
		for (const width of widths) {
			await page.setViewportSize({ width, height: 900 });
			for (const [name, path, act] of shots) {
				if (only && !only.includes(name)) continue;
				await page.goto(path);
				await page.waitForLoadState("networkidle");
				await act?.(page);
				const dialog = await page.locator("dialog[open]").count();
				await page.screenshot({
					path: `screenshots/${name}-${theme}-${width}.png`,
					fullPage: dialog === 0,
					animations: "disabled",
				});
				const wide = await page.evaluate(
					() => document.documentElement.scrollWidth - document.documentElement.clientWidth,
				);
				expect(wide, `${name} at ${width} scrolls sideways`).toBeLessThanOrEqual(0);
			}
		}
	}
});
