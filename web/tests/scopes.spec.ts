import { randomBytes } from "node:crypto";
import type { Page } from "@playwright/test";
import { api, expect, test } from "./world.ts";

interface Listed {
	secrets: { name: string; version: number; scope?: { machines: string[]; groups: string[] } }[];
}

/** Enrols a machine of the signed-in user; gives its id. */
async function enrol(page: Page, name: string, groups: string[]): Promise<string> {
	const key = { name, unix_user: "me", public_key: randomBytes(32).toString("base64url") };
	const asked = await page.request.post("/api/enrolments", { data: key });
	const { code, poll } = (await asked.json()).data;
	await page.request.post(`/api/enrolments/${code}`, { data: { name, role: "deliver", groups } });
	const done = await page.request.post("/api/enrolments:poll", { data: { poll } });
	return (await done.json()).data.machine.id;
}

async function scopeOf(page: Page, name: string) {
	const { secrets } = await api<Listed>(page, "/api/secrets");
	const found = secrets.find((secret) => secret.name === name);
	expect(found).toBeDefined();
	return found?.scope;
}

test("a secret is given to chosen machines and groups, and to all again", async ({ page, signIn }) => {
	await signIn();
	const nas = await enrol(page, "nas", ["home", "db"]);
	await enrol(page, "web", []);
	expect((await page.request.post("/api/secrets/password", { data: { value: "x" } })).ok()).toBe(true);
	await page.reload();

	await page.getByRole("button", { name: "Machines that get password" }).click();
	const dialog = page.getByRole("dialog", { name: "Machines that get password" });
	await expect(dialog.getByRole("radio", { name: "All machines" })).toBeFocused();
	await page.keyboard.press("ArrowDown");
	await expect(dialog.getByText("whoever has that can read every secret")).toBeVisible();
	await dialog.getByRole("checkbox", { name: "nas · me, db, home" }).check();
	await dialog.getByRole("checkbox", { name: "home", exact: true }).check();
	await dialog.getByRole("textbox", { name: "Another group (optional)" }).fill("späť");
	await expect(dialog.getByText("Letters, digits, '_' and '-' only.")).toBeVisible();
	await dialog.getByRole("textbox", { name: "Another group (optional)" }).fill("later");
	await page.keyboard.press("Enter");
	await expect(dialog.getByRole("checkbox", { name: "later" })).toBeChecked();
	await dialog.getByRole("checkbox", { name: "home", exact: true }).uncheck();
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(page.getByText("password is given to nas, group later")).toBeVisible();
	expect(await scopeOf(page, "password")).toEqual({ machines: [nas], groups: ["later"] });
	await expect(page.getByText("Given to nas, group later", { exact: true })).toBeVisible();

	// What is typed for it meanwhile leaves it as it is.
	await page.getByRole("button", { name: "Replace password" }).click();
	await page.getByRole("textbox", { name: "password New value" }).fill("y");
	await page.getByRole("button", { name: "Save Custom secrets" }).click();
	await expect(page.getByText("Custom secrets saved")).toBeVisible();
	expect(await scopeOf(page, "password")).toEqual({ machines: [nas], groups: ["later"] });
	await expect(page.getByText("Given to nas, group later", { exact: true })).toBeVisible();

	await page.getByRole("button", { name: "Machines that get password" }).click();
	await dialog.getByRole("radio", { name: "All machines" }).check();
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(page.getByText("password is given to all machines")).toBeVisible();
	expect(await scopeOf(page, "password")).toBeUndefined();
	await expect(page.getByText("Given to", { exact: false })).toHaveCount(1); // the toast

	await page.goto("/activity");
	await expect(page.getByText("Changed which machines get password").first()).toBeVisible();
});

test("a new secret goes to no other machine, not even at first", async ({ page, signIn }) => {
	await signIn();
	const nas = await enrol(page, "nas", []);
	await page.reload();
	const section = page.getByRole("region", { name: "New secret" });
	await section.getByRole("textbox", { name: "Name" }).fill("fresh");
	await section.getByRole("textbox", { name: "Value" }).fill("x");
	await section.getByText("Which machines get it").click();
	await section.getByRole("radio", { name: "Chosen machines and groups" }).check();
	await section.getByRole("checkbox", { name: "nas" }).check();
	await section.getByRole("button", { name: "Save New secret" }).click();
	await expect(page.getByText("fresh saved")).toBeVisible();
	expect(await scopeOf(page, "fresh")).toEqual({ machines: [nas], groups: [] });
	await expect(section.getByRole("radio", { name: "All machines" })).toBeChecked();
});

test("a secret that was deleted meanwhile says so", async ({ page, signIn, expectComplaints }) => {
	await signIn();
	await enrol(page, "nas", []);
	expectComplaints(/404 \(/);
	for (const dialog of ["Machines that get password", "History of password"]) {
		for (const value of ["one", "two"]) {
			expect((await page.request.post("/api/secrets/password", { data: { value } })).ok()).toBe(true);
		}
		await page.reload();
		await page.getByRole("button", { name: dialog }).click();
		const open = page.getByRole("dialog", { name: dialog });
		const act = dialog.startsWith("History")
			? open.getByRole("button", { name: "Restore version" }).first()
			: open.getByRole("button", { name: "Save" });
		await expect(act).toBeVisible();
		expect((await page.request.delete("/api/secrets/password")).ok()).toBe(true);
		await act.click();
		await expect(page.getByText("there is no secret password").first()).toBeVisible();
		await expect(open).toBeHidden();
	}
});

test("a change that the server does not take is told in the dialog, and nothing is lost", async ({
	page,
	signIn,
	expectComplaints,
}) => {
	await signIn();
	await enrol(page, "nas", []);
	expectComplaints(/503 \(/);
	expect((await page.request.post("/api/secrets/password", { data: { value: "x" } })).ok()).toBe(true);
	await page.reload();
	await page.getByRole("button", { name: "Machines that get password" }).click();
	const dialog = page.getByRole("dialog", { name: "Machines that get password" });
	await dialog.getByRole("radio", { name: "Chosen machines and groups" }).check();
	await dialog.getByRole("checkbox", { name: "nas" }).check();
	const body = {
		success: false,
		error: { code: "unavailable", message: "the storage is away", request_id: "0" },
	};
	await page.route("**/scope", (route) => route.fulfill({ status: 503, json: body }));
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(dialog.getByRole("alert")).toContainText("cannot reach its storage");
	await expect(dialog.getByRole("checkbox", { name: "nas" })).toBeChecked();
});
