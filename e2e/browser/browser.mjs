// A person at the browser, for the machine test: Chromium on the web app, driven
// by lines of JSON on stdin, one answer a line on stdout. Values come through
// stdin, so that they are no process's arguments.
//
//   {"do":"open","link":…}                    opens a sign-in link; gives the page's address
//   {"do":"create","name":…,"value":…}        types a new secret and saves it
//   {"do":"replace","name":…,"value":…}       replaces its value
//   {"do":"delete","name":…}                  deletes it
//   {"do":"release","name":…,"url":…}         creates a release
//   {"do":"text","path":…}                    gives what a page shows
//
// It runs in the machine's network; Chromium and the libraries are the host's.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium, expect } = require("@playwright/test");

const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: [
		"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
	],
});
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
page.setDefaultTimeout(20_000);

const field = (name) => page.getByRole("textbox", { name, exact: true });
const button = (name) => page.getByRole("button", { name, exact: true });
let origin = "";

async function visit(path) {
	if (new URL(page.url()).pathname !== path) await page.goto(origin + path);
}

const actions = {
	async open({ link }) {
		origin = new URL(link).origin;
		await page.goto(link);
		await expect(page.getByRole("heading", { name: "API Keys & Integrations" })).toBeVisible();
		return page.url();
	},
	async create({ name, value }) {
		await visit("/api-keys");
		await button("New secret").click();
		await field("Name").fill(name);
		await field("Value").fill(value);
		await button("Save New secret").click();
		await expect(button(`Replace ${name}`)).toBeVisible();
		return "saved";
	},
	async replace({ name, value }) {
		await visit("/api-keys");
		await button(`Replace ${name}`).click();
		await field(`${name} New value`).fill(value);
		await page.keyboard.press(process.platform === "darwin" ? "Meta+s" : "Control+s");
		await expect(field(`${name} New value`)).toBeHidden();
		return "saved";
	},
	async delete({ name }) {
		await visit("/api-keys");
		await button(`Delete ${name}`).click();
		await page.getByRole("dialog", { name: `Delete ${name}?` }).getByRole("button", { name: "Delete", exact: true }).click();
		await expect(button(`Replace ${name}`)).toBeHidden();
		return "deleted";
	},
	async release({ name, url }) {
		await visit("/releases/new");
		await field("Release Name").fill(name);
		await field("Git Repository URL").fill(url);
		await button("Save Release Information").click();
		await expect(page).toHaveURL(`${origin}/releases`);
		return "saved";
	},
	async text({ path }) {
		await page.goto(origin + path);
		await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
		await page.waitForLoadState("networkidle");
		return page.getByRole("main").innerText();
	},
};

for await (const line of createInterface({ input: process.stdin })) {
	const request = JSON.parse(line);
	let answer;
	try {
		answer = { result: await actions[request.do](request) };
	} catch (error) {
		// The first line only: Playwright goes on to repeat what it was asked to type.
		answer = { error: `${request.do} ${request.name ?? ""}: ${String(error.message).split("\n")[0]}` };
	}
	process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
