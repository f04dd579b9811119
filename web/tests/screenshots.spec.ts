import { mkdir } from "node:fs/promises";
import { Server } from "./server.ts";
import { bringAbout, expected, furnish, states, themes, widths } from "./states.ts";
import { signInAs, test } from "./world.ts";

const folder = "screenshots";
const email = "alice@github";

// A server for each picture: what one state leaves behind is on no other's.
test.use({
	// biome-ignore lint/correctness/noEmptyPattern: Playwright reads the parameters
	server: async ({}, use) => {
		const server = await Server.start();
		await use(server);
		await server.remove();
	},
});

test.beforeAll(() => mkdir(folder, { recursive: true }));

for (const state of states) {
	test(state.name, async ({ page, server, expectComplaints }) => {
		expectComplaints(expected);
		await page.emulateMedia({ reducedMotion: "reduce" });
		await signInAs(page, server, email);
		const release = state.empty ? "" : await furnish(page, server, email);
		await bringAbout(state, page, server, release);
		const dialog = await page.locator("dialog[open]").count();
		for (const width of widths) {
			await page.setViewportSize({ width, height: 900 });
			for (const colorScheme of themes) {
				await page.emulateMedia({ colorScheme });
				await page.screenshot({
					path: `${folder}/${state.name}-${colorScheme}-${width}.png`,
					fullPage: dialog === 0,
					animations: "disabled",
				});
			}
		}
	});
}

test("the pictures of the README", async ({ page, server }) => {
	await signInAs(page, server, email);
	await furnish(page, server, email);
	await page.setViewportSize({ width: 1280, height: 800 });
	for (const [path, colorScheme] of [
		["api-keys", "light"],
		["releases", "dark"],
	] as const) {
		await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
		await page.goto(`/${path}`);
		await page.waitForLoadState("networkidle");
		await page.screenshot({ path: `${folder}/readme-${path}.png` });
	}
});
