import type { Page } from "@playwright/test";
import { expect, test } from "./world.ts";

const field = (page: Page, name: string) => page.getByRole("textbox", { name, exact: true });

async function create(page: Page, name: string): Promise<string> {
	const response = await page.request.post("/api/releases", {
		data: { name, git_url: `https://github.com/alice/${name}` },
	});
	expect(response.ok()).toBe(true);
	return (await response.json()).data.id;
}

test("create, edit, copy the deploy command, delete", async ({ page, signIn, context, server }) => {
	await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
	await signIn("/releases");
	await expect(page.getByRole("heading", { name: "No releases yet" })).toBeVisible();
	await page.getByRole("link", { name: "Create First Release" }).click();
	await field(page, "Release Name").fill("my-openwebui");
	await field(page, "Git Repository URL").fill("https://github.com/alice/quadlets");
	await field(page, "Description (optional)").fill("OpenWebUI setup");
	await expect(page.getByText("$ leger deploy install --release my-openwebui")).toBeVisible();
	await page.getByRole("button", { name: "Save Release Information" }).click();
	await expect(page).toHaveURL("/releases");
	await expect(page.getByText("Release saved")).toBeVisible();
	const card = page.getByRole("main").getByRole("listitem").filter({ hasText: "my-openwebui" });
	await expect(card).toContainText("Version 1");
	await expect(card).toContainText("main");

	await card.getByRole("button", { name: "Copy Deploy Command" }).click();
	expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(
		"leger deploy install --release my-openwebui",
	);

	await card.getByRole("link", { name: "Edit my-openwebui" }).click();
	await field(page, "Git Branch").fill("v2");
	await page.keyboard.press("Control+s");
	await expect(page).toHaveURL("/releases");
	await expect(card).toContainText("Version 2");
	await expect(card).toContainText("v2");

	await card.getByRole("button", { name: "Delete my-openwebui" }).click();
	const dialog = page.getByRole("dialog", { name: "Delete my-openwebui?" });
	await expect(dialog.getByRole("button", { name: "Delete", exact: true })).toBeDisabled();
	await page.keyboard.type("my-openwebui");
	await dialog.getByRole("button", { name: "Delete", exact: true }).click();
	await expect(page.getByRole("heading", { name: "No releases yet" })).toBeVisible();
});

test("the fields are checked as one types, with the server's rules", async ({ page, signIn }) => {
	await signIn("/releases/new");
	await field(page, "Release Name").fill("-x");
	await field(page, "Git Repository URL").fill("https://user:pw@host/a");
	await expect(page.getByText("A name starts with a letter or a digit.")).toBeVisible();
	await field(page, "Git Branch").fill("a..b");
	await expect(page.getByText("Leave user and password out")).toBeVisible();
	await field(page, "Path (optional)").fill("../x");
	await expect(page.getByText("Git has no branch or tag of such a name.")).toBeVisible();
	await field(page, "Release Name").fill("x");
	await expect(page.getByText("A name starts with a letter or a digit.")).toBeHidden();
	await page.getByRole("button", { name: "Save Release Information" }).click();
	await expect(page).toHaveURL("/releases/new");
	await expect(field(page, "Git Repository URL")).toBeFocused();
});

test("a name that is taken is told at its field", async ({ page, signIn, expectComplaints }) => {
	expectComplaints(/409 \(Conflict\)/);
	await signIn("/releases/new");
	await create(page, "taken");
	await field(page, "Release Name").fill("Taken");
	await field(page, "Git Repository URL").fill("https://host/a");
	await page.getByRole("button", { name: "Save Release Information" }).click();
	await expect(field(page, "Release Name")).toHaveAttribute("aria-invalid", "true");
	await expect(field(page, "Git Repository URL")).toHaveValue("https://host/a");
});

for (const keep of ["mine", "theirs"] as const) {
	test(`somebody edited meanwhile: both are shown, ${keep} stays`, async ({
		page,
		signIn,
		expectComplaints,
	}) => {
		expectComplaints(/409 \(Conflict\)/);
		await signIn();
		const id = await create(page, "shared");
		await page.goto(`/releases/${id}`);
		await field(page, "Git Branch").fill("mine");
		const theirs = await page.request.put(`/api/releases/${id}`, { data: { git_branch: "theirs" } });
		expect(theirs.ok()).toBe(true);
		await page.getByRole("button", { name: "Save Release Information" }).click();
		const dialog = page.getByRole("dialog", { name: "This release was changed meanwhile" });
		await expect(dialog.getByRole("rowheader", { name: "Branch" })).toBeVisible();
		await expect(dialog.getByRole("row", { name: "theirs mine" })).toBeVisible();
		if (keep === "mine") {
			await dialog.getByRole("button", { name: "Save mine over it" }).click();
			await expect(page).toHaveURL("/releases");
		} else {
			await dialog.getByRole("button", { name: "Take theirs" }).click();
			await expect(field(page, "Git Branch")).toHaveValue("theirs");
		}
		const now = (await (await page.request.get(`/api/releases/${id}`)).json()).data;
		expect(now.git_branch).toBe(keep);
		expect(now.version).toBe(keep === "mine" ? 3 : 2);
	});
}

test("a release deleted while it is edited: it says so, and what was typed stays", async ({
	page,
	signIn,
	expectComplaints,
}) => {
	expectComplaints(/404 \(/);
	await signIn();
	const id = await create(page, "gone");
	await page.goto(`/releases/${id}`);
	await field(page, "Git Branch").fill("mine");
	expect((await page.request.delete(`/api/releases/${id}`)).ok()).toBe(true);
	await page.getByRole("button", { name: "Save Release Information" }).click();
	await expect(page.getByRole("alert").filter({ hasText: "release" })).toBeVisible();
	await expect(field(page, "Git Branch")).toHaveValue("mine");
});

test("an old version can be brought back", async ({ page, signIn }) => {
	await signIn();
	const id = await create(page, "old");
	await page.request.put(`/api/releases/${id}`, { data: { git_branch: "new" } });
	await page.goto(`/releases/${id}`);
	await expect(page.getByText("Branch: new")).toBeVisible();
	await page.getByRole("button", { name: "Use version 1" }).click();
	await expect(field(page, "Git Branch")).toHaveValue("main");
	await page.getByRole("button", { name: "Save Release Information" }).click();
	await expect(page).toHaveURL("/releases");
	expect((await (await page.request.get(`/api/releases/${id}`)).json()).data.version).toBe(3);
});

test("search, n and /", async ({ page, signIn }) => {
	await signIn();
	await create(page, "alpha");
	await create(page, "beta");
	await page.goto("/releases");
	await expect(page.getByText("2 releases")).toBeVisible();
	await page.keyboard.press("/");
	await page.keyboard.type("bet");
	await expect(page.getByRole("heading", { name: "alpha" })).toBeHidden();
	await expect(page.getByRole("heading", { name: "beta" })).toBeVisible();
	await page.keyboard.press("Escape");
	await expect(page.getByRole("heading", { name: "alpha" })).toBeVisible();
	await page.getByRole("heading", { level: 1 }).click();
	await page.keyboard.press("n");
	await expect(page).toHaveURL("/releases/new");
});

test("releases on further pages of the list are shown, too", async ({ page, signIn }) => {
	await signIn();
	const names = ["one", "two", "three", "four", "five"];
	for (const name of names) await create(page, name);
	const asked: string[] = [];
	await page.route(
		(url) => url.pathname === "/api/releases",
		async (route) => {
			const url = new URL(route.request().url());
			url.searchParams.set("limit", "2");
			asked.push(url.search);
			await route.continue({ url: url.href });
		},
	);
	await page.goto("/releases");
	await expect(page.getByText("5 releases")).toBeVisible();
	for (const name of names) await expect(page.getByRole("heading", { name, exact: true })).toBeVisible();
	expect(asked.length).toBeGreaterThanOrEqual(3);
});

test("a release that is not there says so", async ({ page, signIn, expectComplaints }) => {
	expectComplaints(/40[04] \(/);
	await signIn("/releases/00000000-0000-4000-8000-000000000000");
	await expect(page.getByRole("heading", { name: "There is no such release" })).toBeVisible();
	await page.goto("/releases/nonsense");
	await expect(page.getByRole("heading", { name: "There is no such release" })).toBeVisible();
});
