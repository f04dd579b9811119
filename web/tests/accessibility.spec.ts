import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "@playwright/test";
import type { AxeResults } from "axe-core";
import { pages } from "./pages.ts";
import { bringAbout, expected, furnish, states, themes, widths } from "./states.ts";
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

for (const state of states) {
	test(`axe finds nothing in any theme at any width: ${state.name}`, async ({
		page,
		server,
		signIn,
		expectComplaints,
	}) => {
		expectComplaints(expected);
		const email = await signIn();
		const release = state.empty ? "" : await furnish(page, server, email);
		await page.emulateMedia({ reducedMotion: "reduce" });
		await bringAbout(state, page, server, release);
		const found: string[] = [];
		for (const width of widths) {
			await page.setViewportSize({ width, height: 900 });
			const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
			if (over > 0) found.push(`${width}: ${over} pixels too wide`);
			for (const colorScheme of themes) {
				await page.emulateMedia({ colorScheme });
				for (const violation of await axe(page)) found.push(`${colorScheme}, ${width}: ${violation}`);
			}
		}
		expect(found).toEqual([]);
	});
}

test("reduced motion: nothing fades, slides or turns", async ({ page, signIn }) => {
	await page.emulateMedia({ reducedMotion: "reduce" });
	await signIn("/settings");
	await page.getByRole("textbox", { name: "Display Name" }).fill("Alice");
	await page.getByRole("button", { name: "Save Display Name" }).click();
	await expect(page.getByText("Display name saved")).toBeVisible();
	const moving = await page.evaluate(() =>
		document
			.getAnimations()
			.filter((animation) => animation.playState === "running")
			.map((animation) => (animation.effect as KeyframeEffect).target?.outerHTML.slice(0, 80)),
	);
	expect(moving).toEqual([]);
	const transition = await page
		.getByRole("button", { name: "Sign out everywhere else" })
		.evaluate((element) => getComputedStyle(element).transitionDuration);
	expect(transition).toBe("0s");
});

test("targets are at least 24 pixels", async ({ page, signIn, server }) => {
	const id = await furnish(page, server, await signIn());
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
