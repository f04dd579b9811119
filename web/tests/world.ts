import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { test as base, expect, type Page } from "@playwright/test";
import { Server } from "./server.ts";

interface World {
	/** Nobody is signed in on it yet. */
	server: Server;
	/** Every request that the page may not make, and every line of its console that is a complaint. */
	complaints: string[];
	/** Signs the page in as a user of this test's own; gives the e-mail. */
	signIn: (path?: string) => Promise<string>;
	/** Complaints the test expects, as of a server that is stopped. */
	expectComplaints: (pattern: RegExp) => void;
}

/** tailscaled's answers to who is at an address; it knows one. */
async function tailscaled(): Promise<{ socket: string; close: () => Promise<void> }> {
	const directory = await mkdtemp(path.join(tmpdir(), "leger-tailscaled-"));
	const socket = path.join(directory, "tailscaled.sock");
	const listener = createServer((request, response) => {
		if (request.url !== "/localapi/v0/whois?addr=100.64.0.7") {
			response.writeHead(404).end("no match for IP:port");
			return;
		}
		response.end(
			JSON.stringify({
				Node: { StableID: "nPhone", Name: "phone.example.ts.net.", User: 123 },
				UserProfile: { ID: 123, LoginName: "phone-owner@example.com" },
			}),
		);
	}).listen(socket);
	await once(listener, "listening");
	return {
		socket,
		close: async () => {
			listener.close();
			await rm(directory, { recursive: true });
		},
	};
}

let users = 0;

/** Each test has an account of its own on one server; no test may leave a complaint in the console. */
export const test = base.extend<World & { allowed: RegExp[] }, { shared: Server; tailnetServer: Server }>({
	shared: [
		// biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameters
		async ({}, use) => {
			const server = await Server.start();
			await use(server);
			await server.remove();
		},
		{ scope: "worker" },
	],
	tailnetServer: [
		// biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameters
		async ({}, use) => {
			const { socket, close } = await tailscaled();
			const server = await Server.start(["--rate-limit", "0"], {
				LEGER_AUTH: "tailnet",
				LEGER_TRUST_LOOPBACK_PROXY: "1",
				LEGER_TAILSCALE_SOCKET: socket,
			});
			await use(server);
			await server.remove();
			await close();
		},
		{ scope: "worker" },
	],
	server: async ({ shared }, use) => use(shared),
	baseURL: async ({ server }, use) => use(server.url),
	// biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameters
	allowed: async ({}, use) => use([]),
	expectComplaints: async ({ allowed }, use) => use((pattern) => allowed.push(pattern)),
	complaints: [
		async ({ context, allowed }, use) => {
			const complaints: string[] = [];
			context.on("console", (message) => {
				if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
			});
			context.on("weberror", (error) => complaints.push(String(error.error())));
			await use(complaints);
			const unexpected = complaints.filter((text) => !allowed.some((pattern) => pattern.test(text)));
			expect(unexpected, "complaints in the console").toEqual([]);
		},
		{ auto: true },
	],
	signIn: async ({ page, server }, use) => {
		await use(async (path = "/api-keys") => {
			users++;
			const email = `user${users}@example.com`;
			await signInAs(page, server, email);
			if (path !== "/api-keys") await page.goto(path);
			return email;
		});
	},
});

/** Opens the link and waits for the first page. */
export async function signInAs(page: Page, server: Server, email: string): Promise<void> {
	await page.goto(await server.loginLink(email));
	await expect(page.getByRole("heading", { level: 1, name: "API Keys & Integrations" })).toBeVisible();
}

/** What the API says, asked with the page's own session. */
export async function api<T>(page: Page, path: string): Promise<T> {
	const response = await page.request.get(path);
	expect(response.ok(), `${path}: ${response.status()}`).toBe(true);
	return (await response.json()).data as T;
}

export { expect };
