import type { Locator, Page } from "@playwright/test";
import { expect, test } from "./world.ts";

/** Tabs until the focus is there, as somebody without a mouse would, and checks that it can be seen. */
async function tabTo(page: Page, target: Locator, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
	for (let i = 0; i < 120; i++) {
		if (await target.evaluate((element) => element === document.activeElement).catch(() => false)) {
			const outline = await target.evaluate((element) => {
				const style = getComputedStyle(element);
				return style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1;
			});
			expect(outline, "the focus is visible").toBe(true);
			return;
		}
		await page.keyboard.press(key);
	}
	throw new Error(`the focus never came to ${target}`);
}

test("secrets: create, replace, restore, delete and import by keyboard alone", async ({ page, signIn }) => {
	await signIn();
	const button = (name: string) => page.getByRole("button", { name, exact: true });

	await expect(page.getByText("Nothing is stored yet")).toBeVisible();
	await page.keyboard.press("n");
	await expect(page.getByRole("textbox", { name: "Name", exact: true })).toBeFocused();
	await page.keyboard.type("by_keyboard");
	await page.keyboard.press("Tab");
	await page.keyboard.type("first");
	await page.keyboard.press("Control+s");
	await expect(page.getByText("Set · version 1")).toBeVisible();

	await tabTo(page, button("Replace by_keyboard"), "Shift+Tab");
	await page.keyboard.press("Enter");
	await page.keyboard.type("second");
	await page.keyboard.press("Control+s");
	await expect(page.getByText("Set · version 2")).toBeVisible();

	await tabTo(page, button("History of by_keyboard"), "Shift+Tab");
	await page.keyboard.press("Enter");
	await expect(button("Restore version 1")).toBeVisible();
	await tabTo(page, button("Restore version 1"));
	await page.keyboard.press("Enter");
	await expect(page.getByText("Set · version 3")).toBeVisible();
	await expect(button("History of by_keyboard")).toBeFocused();

	await tabTo(page, button("Delete by_keyboard"));
	await page.keyboard.press("Enter");
	await expect(button("Cancel")).toBeFocused();
	await tabTo(page, button("Delete"));
	await page.keyboard.press("Enter");
	await expect(page.getByText("Nothing is stored yet")).toBeVisible();
	await expect(page.getByRole("heading", { level: 1 })).toBeFocused();

	await tabTo(page, button("Import .env"));
	await page.keyboard.press("Enter");
	await tabTo(page, page.getByRole("textbox", { name: "Content of the file" }));
	await page.keyboard.type("IMPORTED=1");
	await tabTo(page, button("Preview"));
	await page.keyboard.press("Space");
	await expect(button("Import 1 secret")).toBeVisible();
	await tabTo(page, button("Import 1 secret"));
	await page.keyboard.press("Enter");
	await expect(page.getByText("1 secret stored")).toBeVisible();
});

test("releases: create, edit and delete by keyboard alone", async ({ page, signIn }) => {
	await signIn();
	await tabTo(page, page.getByRole("link", { name: "Releases", exact: true }), "Shift+Tab");
	await page.keyboard.press("Enter");
	await expect(page.getByRole("heading", { level: 1, name: "Releases" })).toBeFocused();
	await page.keyboard.press("n");
	await expect(page).toHaveURL("/releases/new");
	await tabTo(page, page.getByRole("textbox", { name: "Release Name" }));
	await page.keyboard.type("by-keyboard");
	await page.keyboard.press("Tab");
	await page.keyboard.type("https://github.com/alice/quadlets");
	await page.keyboard.press("Enter");
	await expect(page.getByText("Version 1", { exact: true })).toBeVisible();

	await tabTo(page, page.getByRole("link", { name: "Edit by-keyboard" }));
	await page.keyboard.press("Enter");
	await expect(page.getByRole("heading", { level: 1, name: "Edit Release" })).toBeVisible();
	await tabTo(page, page.getByRole("textbox", { name: "Git Branch" }));
	await page.keyboard.press("Control+a");
	await page.keyboard.type("v2");
	await page.keyboard.press("Control+s");
	await expect(page.getByText("Version 2", { exact: true })).toBeVisible();

	await tabTo(page, page.getByRole("button", { name: "Delete by-keyboard" }));
	await page.keyboard.press("Enter");
	await page.keyboard.type("by-keyboard");
	await page.keyboard.press("Enter");
	await expect(page.getByRole("heading", { name: "No releases yet" })).toBeVisible();
});

test("the shortcuts are listed, and single keys can be turned off", async ({ page, signIn }) => {
	await signIn();
	await page.keyboard.press("?");
	const help = page.getByRole("dialog", { name: "Keyboard shortcuts" });
	await expect(help).toContainText("Search");
	await help.getByRole("checkbox", { name: "Single keys do something" }).uncheck();
	await page.keyboard.press("Escape");
	await expect(help).toBeHidden();
	await page.keyboard.press("/");
	await expect(page.getByRole("searchbox", { name: "Search secrets" })).not.toBeFocused();
	await page.reload();
	await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
	await page.keyboard.press("?");
	await expect(help).toBeHidden();
	await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
	await help.getByRole("checkbox", { name: "Single keys do something" }).check();
	await page.keyboard.press("Escape");
	await page.keyboard.press("/");
	await expect(page.getByRole("searchbox", { name: "Search secrets" })).toBeFocused();
});
