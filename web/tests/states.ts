import { randomBytes } from "node:crypto";
import type { Page } from "@playwright/test";
import { pages } from "./pages.ts";
import type { Server } from "./server.ts";
import { expect } from "./world.ts";

export const widths = [320, 768, 1280] as const;
export const themes = ["light", "dark"] as const;

/** Something a page can look like, brought about in a browser that is signed in. */
export interface State {
	name: string;
	/** ID stands for the release that furnish made. */
	path: string;
	/** Before there is anything in the account. */
	empty?: true;
	/** What to do on the page; else it is looked at as it is. */
	act?: (page: Page, server: Server) => Promise<unknown>;
	/** Requests stay open, so that the network never comes to rest. */
	pending?: true;
}

const field = (page: Page, name: string) => page.getByRole("textbox", { name, exact: true });
const press = (name: string) => (page: Page) => page.getByRole("button", { name, exact: true }).click();

async function rename(page: Page) {
	await field(page, "Display Name").fill("Alice");
	await page.getByRole("button", { name: "Save Display Name" }).click();
}

async function typeReplacement(page: Page) {
	await page.getByRole("button", { name: "Replace openai_api_key" }).click();
	await field(page, "openai_api_key New value").fill("sk-proj-0123456789");
}

/** A machine asks to be enrolled; gives its code. */
async function waitingMachine(page: Page): Promise<string> {
	const response = await page.request.post("/api/enrolments", {
		data: { name: "debian", unix_user: "me", public_key: randomBytes(32).toString("base64url") },
	});
	return (await response.json()).data.code;
}

/** Every page as it is, and every dialog, message and banner that comes up on one. */
export const states: readonly State[] = [
	...pages.map(({ path }) => ({ name: path.slice(1).replaceAll(/\W+/g, "-"), path })),
	{ name: "api-keys-empty", path: "/api-keys", empty: true },
	{ name: "releases-empty", path: "/releases", empty: true },
	{ name: "hosts-empty", path: "/hosts", empty: true },
	{
		name: "api-keys-loading",
		path: "/api-keys",
		pending: true,
		act: async (page) => {
			await page.route("**/api/secrets", () => new Promise(() => undefined));
			await page.reload();
			await expect(page.getByText("Loading…")).toBeAttached();
		},
	},
	{
		name: "api-keys-failed",
		path: "/api-keys",
		act: async (page) => {
			await page.route("**/api/secrets", (route) =>
				route.fulfill({ status: 500, json: failure("internal", "something went wrong here") }),
			);
			await page.reload();
			await expect(page.getByRole("heading", { name: "The secrets could not be loaded" })).toBeVisible();
		},
	},
	{
		name: "api-keys-warning",
		path: "/api-keys",
		act: async (page) => {
			await page.getByRole("button", { name: "Replace openai_api_key" }).click();
			await field(page, "openai_api_key New value").fill("pk-something");
		},
	},
	{
		name: "api-keys-errors",
		path: "/api-keys",
		act: async (page) => {
			await field(page, "Name").fill("-bad");
			await page.getByRole("button", { name: "Save New secret" }).click();
			await expect(page.getByText("A name does not start with '-'.")).toBeVisible();
		},
	},
	{
		name: "api-keys-no-match",
		path: "/api-keys",
		act: async (page) => {
			await page.getByRole("searchbox").fill("zzz");
			await expect(page.getByText("No secret and no provider matches.")).toBeVisible();
		},
	},
	{
		name: "api-keys-history",
		path: "/api-keys",
		act: async (page) => {
			await press("History of openai_api_key")(page);
			await expect(page.getByText("Current")).toBeVisible();
		},
	},
	{
		name: "api-keys-machines",
		path: "/api-keys",
		act: async (page) => {
			const code = await waitingMachine(page);
			const terms = { name: "nas", role: "deliver", groups: ["home", "media"] };
			expect((await page.request.post(`/api/enrolments/${code}`, { data: terms })).ok()).toBe(true);
			await page.reload();
			await press("Machines that get openai_api_key")(page);
			await page.getByRole("radio", { name: "Chosen machines and groups" }).check();
			await page.getByRole("checkbox", { name: "nas" }).check();
			await expect(page.getByText("This server accepts its shared secret")).toBeVisible();
		},
	},
	{ name: "api-keys-delete", path: "/api-keys", act: press("Delete openai_api_key") },
	{ name: "api-keys-import", path: "/api-keys", act: press("Import .env") },
	{
		name: "api-keys-import-refused",
		path: "/api-keys",
		act: async (page) => {
			await press("Import .env")(page);
			await field(page, "Content of the file").fill("nonsense");
			await press("Preview")(page);
			await expect(page.getByText("There is no NAME=value in this.")).toBeVisible();
		},
	},
	{
		name: "api-keys-import-preview",
		path: "/api-keys",
		act: async (page) => {
			await press("Import .env")(page);
			await field(page, "Content of the file").fill(
				"OPENAI_API_KEY=sk-two\nGROQ_API_KEY=gsk_1\nDATABASE_PASSWORD=x\nbad.name=1\nnonsense",
			);
			await press("Preview")(page);
			await expect(page.getByText("Nothing is saved yet")).toBeVisible();
		},
	},
	{
		name: "api-keys-conflict",
		path: "/api-keys",
		act: async (page) => {
			await typeReplacement(page);
			await put(page, "openai_api_key", "sk-theirs");
			await press("Save OpenAI")(page);
			await expect(page.getByRole("dialog", { name: "was changed meanwhile" })).toContainText("saved");
		},
	},
	{
		name: "api-keys-conflict-deleted",
		path: "/api-keys",
		act: async (page) => {
			await typeReplacement(page);
			expect((await page.request.delete("/api/secrets/openai_api_key")).ok()).toBe(true);
			await press("Save OpenAI")(page);
			await expect(page.getByRole("dialog", { name: "was deleted meanwhile" })).toBeVisible();
		},
	},
	{
		name: "unsaved",
		path: "/settings",
		act: async (page) => {
			await field(page, "Display Name").fill("Alice");
			await page.getByRole("link", { name: "Leger" }).click();
			await expect(page.getByRole("dialog", { name: "Leave without saving?" })).toBeVisible();
		},
	},
	{ name: "help", path: "/api-keys", act: (page) => page.keyboard.press("?") },
	{
		name: "menu",
		path: "/releases",
		act: async (page) => {
			const menu = page.getByRole("button", { name: "Menu" });
			if (await menu.isVisible()) await menu.click();
		},
	},
	{
		name: "releases-failed",
		path: "/releases",
		act: async (page) => {
			await page.route("**/api/releases?*", (route) => route.fulfill({ status: 503, body: "" }));
			await page.reload();
			await expect(page.getByRole("heading", { name: "The releases could not be loaded" })).toBeVisible();
		},
	},
	{ name: "releases-delete", path: "/releases", act: press("Delete my-openwebui") },
	{
		name: "release-errors",
		path: "/releases/new",
		act: async (page) => {
			await field(page, "Release Name").fill("-x");
			await field(page, "Git Repository URL").fill("ftp://x");
			await field(page, "Git Branch").fill("a..b");
			await field(page, "Description (optional)").click();
		},
	},
	{
		name: "release-conflict",
		path: "/releases/ID",
		act: async (page) => {
			await field(page, "Git Branch").fill("experiment");
			await field(page, "Description (optional)").fill("OpenWebUI alone");
			const path = new URL(page.url()).pathname;
			const theirs = await page.request.put(`/api${path}`, {
				data: { git_branch: "v2", git_path: "quadlets" },
			});
			expect(theirs.ok()).toBe(true);
			await press("Save Release Information")(page);
			await expect(page.getByRole("dialog", { name: "changed meanwhile" })).toBeVisible();
		},
	},
	{
		name: "release-not-there",
		path: "/releases/00000000-0000-4000-8000-000000000000",
		act: (page) => expect(page.getByRole("heading", { name: "There is no such release" })).toBeVisible(),
	},
	{
		name: "hosts-findings",
		path: "/hosts",
		act: (page) => page.getByText("2 findings about my-openwebui on box-1").click(),
	},
	{ name: "hosts-forget", path: "/hosts", act: press("Forget box-1") },
	{
		name: "machines-connect-code",
		path: "/machines/connect",
		act: async (page) => {
			await page.getByRole("textbox", { name: "Code" }).fill(await waitingMachine(page));
			await press("Continue")(page);
			await expect(page.getByText("SHA256:")).toBeVisible();
		},
	},
	{
		name: "settings-machines",
		path: "/settings",
		act: async (page) => {
			const code = await waitingMachine(page);
			const approved = await page.request.post(`/api/enrolments/${code}`, { data: { groups: ["home"] } });
			expect(approved.ok()).toBe(true);
			expect((await page.request.post("/api/invitations", { data: { name: "cloud" } })).ok()).toBe(true);
			await page.reload();
			await expect(page.getByText("Open invitations")).toBeVisible();
			await press("Change debian")(page);
		},
	},
	{
		name: "settings-link",
		path: "/settings",
		act: async (page) => {
			await press("Sign another browser in…")(page);
			await expect(page.getByRole("img", { name: "The link as a QR code" })).toBeVisible();
		},
	},
	{ name: "settings-invite", path: "/settings", act: press("Invite a machine…") },
	{
		name: "settings-invitation",
		path: "/settings",
		act: async (page) => {
			await press("Invite a machine…")(page);
			await press("Make the invitation")(page);
			await expect(page.getByText(/^leger-invite-/)).toBeVisible();
		},
	},
	{ name: "settings-delete", path: "/settings", act: press("Delete account…") },
	{ name: "settings-everywhere", path: "/settings", act: press("Sign out everywhere else") },
	{
		name: "settings-error",
		path: "/settings",
		act: (page) => field(page, "Display Name").fill("A name that is longer than it may be"),
	},
	{
		name: "settings-saved",
		path: "/settings",
		act: async (page) => {
			await rename(page);
			await expect(page.getByText("Display name saved")).toBeVisible();
		},
	},
	{
		name: "banner-offline",
		path: "/api-keys",
		act: async (page) => {
			await typeReplacement(page);
			await page.context().setOffline(true);
			await expect(page.getByText("You are offline.")).toBeVisible();
		},
	},
	{
		name: "banner-server-away",
		path: "/settings",
		act: async (page) => {
			await expect(field(page, "Display Name")).toBeVisible();
			for (const pattern of ["**/api/**", "**/health"]) {
				await page.route(pattern, (route) => route.abort("connectionrefused"));
			}
			await rename(page);
			await expect(page.getByText("The server does not answer.").first()).toBeVisible();
		},
	},
	{
		name: "banner-session-expired",
		path: "/api-keys",
		act: async (page) => {
			await typeReplacement(page);
			await page.context().clearCookies();
			await press("Save OpenAI")(page);
			await expect(page.getByText("You are signed out. What you typed stays here:")).toBeVisible();
		},
	},
	{
		name: "auth-server-away",
		path: "/auth-error",
		act: async (page, server) => {
			await page.route("**/api/auth/validate", (route) => route.abort("connectionrefused"));
			await page.goto(await server.loginLink("somebody@example.com"));
			await expect(page.getByText("The link still works.")).toBeVisible();
		},
	},
	{
		name: "auth-tailnet-refused",
		path: "/auth-error",
		act: async (page) => {
			await page.context().clearCookies();
			await page.route("**/api/auth/methods", (route) =>
				route.fulfill({
					json: { success: true, data: { methods: [{ name: "tailnet" }, { name: "machine" }] } },
				}),
			);
			await page.goto("/signed-out"); // this server asks no Tailscale, and refuses
			await press("Sign in with Tailscale")(page);
			await expect(page.getByRole("alert")).toBeVisible();
		},
	},
];

function failure(code: string, message: string) {
	return { success: false, error: { code, message, request_id: "00ff00ff00ff00ff" } };
}

const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

async function put(page: Page, name: string, value: string) {
	const response = await page.request.post(`/api/secrets/${name}`, { data: { value } });
	expect(response.ok()).toBe(true);
}

/** Secrets, releases and machines as somebody has them; gives a release's id. */
export async function furnish(page: Page, server: Server, email: string): Promise<string> {
	await put(page, "openai_api_key", "sk-one");
	await put(page, "openai_api_key", "sk-two");
	await put(page, "anthropic_api_key", "sk-ant-one");
	await put(page, "database_password", "one");
	await put(page, "smtp_password", "one");
	const ids: string[] = [];
	for (const [name, description] of [
		["my-openwebui", "OpenWebUI with LiteLLM in front of three providers"],
		["paperless", ""],
		["immich", "Photos of the family"],
	]) {
		const response = await page.request.post("/api/releases", {
			data: { name, description, git_url: `https://github.com/alice/${name}`, git_branch: "main" },
		});
		expect(response.ok()).toBe(true);
		ids.push((await response.json()).data.id);
	}
	await report(server, email);
	return ids[0] ?? "";
}

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
				generation: 7,
				health: "healthy",
				findings: [
					{
						kind: "secret_stale",
						subject: "litellm.service",
						text: "runs with an older value of the secret openai_api_key: leger service restart litellm.service",
					},
					{
						kind: "branch_moved",
						text: "the branch has moved on to commit 5a3d0f1be14e: leger deploy update my-openwebui",
					},
				],
			},
			{
				release: "paperless",
				version: 1,
				commit: "9e107d9d372bb6826bd81d3542a419d69e107d9d",
				state: "active",
				updated_at: ago(4000),
				units: [{ name: "paperless-webserver-with-a-long-name.service", state: "active" }],
				generation: 2,
				health: "unhealthy",
				findings: [
					{
						kind: "unit_unhealthy",
						subject: "paperless-webserver-with-a-long-name.service",
						text: "is unhealthy: its health check says so",
					},
					{
						kind: "file_changed",
						subject: "paperless.container",
						text: "was changed since it was installed",
					},
				],
			},
		],
	});
	await server.report(email, "gpu-2", {
		secrets: [{ name: "openai_api_key", version: 1, synced_at: ago(4320) }],
		deployments: [
			{
				release: "immich",
				version: 1,
				commit: "0b1c2d3e4f5a0b1c2d3e4f5a0b1c2d3e4f5a0000",
				state: "failed",
				updated_at: ago(7),
				units: [{ name: "immich.service", state: "failed" }],
				generation: 3,
				health: "failed",
				findings: [{ kind: "unit_failed", subject: "immich.service", text: "has failed (exit-code)" }],
			},
		],
	});
}

/** Opens the state, at the narrowest width. */
export async function bringAbout(state: State, page: Page, server: Server, release: string): Promise<void> {
	await page.setViewportSize({ width: widths[0], height: 900 });
	await page.goto(state.path.replace("ID", release));
	const heading = pages.find(({ path }) => path === state.path)?.heading;
	if (heading !== undefined) {
		await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
	}
	await page.waitForLoadState("networkidle");
	await state.act?.(page, server);
	if (!state.pending) await page.waitForLoadState("networkidle");
}

/** Complaints of the console that the states bring with them. */
export const expected = /Failed to load resource|ERR_INTERNET_DISCONNECTED/;
