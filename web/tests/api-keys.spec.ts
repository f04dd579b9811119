import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { api, expect, test } from "./world.ts";

interface Listed {
	secrets: { name: string; version: number }[];
}

const field = (page: Page, name: string) => page.getByRole("textbox", { name, exact: true });
const section = (page: Page, name: string) => page.getByRole("region", { name, exact: true });

async function put(page: Page, name: string, value: string) {
	expect((await page.request.post(`/api/secrets/${name}`, { data: { value } })).ok()).toBe(true);
}

async function versionOf(page: Page, name: string): Promise<number | undefined> {
	return (await api<Listed>(page, "/api/secrets")).secrets.find((secret) => secret.name === name)?.version;
}

test("each provider's section saves on its own", async ({ page, signIn }) => {
	await signIn();
	const openai = section(page, "OpenAI");
	await expect(openai.getByRole("button", { name: "Save OpenAI" })).toBeHidden();
	await field(page, "OpenAI API Key").fill("sk-test-1");
	await field(page, "OpenAI Organization ID (optional)").fill("org-test");
	await field(page, "Anthropic API Key").fill("sk-ant-other");
	await openai.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(page.getByText("OpenAI saved")).toBeVisible();
	await expect(openai.getByText("Set · version 1 · just now")).toHaveCount(2);
	await expect(field(page, "Anthropic API Key")).toHaveValue("sk-ant-other");
	expect((await api<Listed>(page, "/api/secrets")).secrets.map((secret) => secret.name)).toEqual([
		"openai_api_key",
		"openai_org_id",
	]);
});

test("what is typed is dotted until it is asked for", async ({ page, signIn }) => {
	await signIn();
	const key = field(page, "Groq API Key");
	await key.fill("gsk_visible");
	const masking = () =>
		key.evaluate((element) => getComputedStyle(element).getPropertyValue("-webkit-text-security"));
	expect(await masking()).toBe("disc");
	await page.getByRole("button", { name: "Show typed Groq API Key" }).click();
	expect(await masking()).toBe("none");
	await expect(page.getByRole("button", { name: "Show typed Groq API Key" })).toHaveAttribute(
		"aria-pressed",
		"true",
	);
	await expect(key).toHaveAttribute("autocomplete", "off");
	await section(page, "Groq").getByRole("button", { name: "Discard" }).click();
	await expect(key).toHaveValue("");
});

test("an unusual shape is warned about and saved", async ({ page, signIn }) => {
	await signIn();
	await field(page, "OpenAI API Key").fill("something else");
	await expect(
		section(page, "OpenAI").getByText("does not look like the usual API Key (sk-…)"),
	).toBeVisible();
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(section(page, "OpenAI").getByText("Set · version 1")).toBeVisible();
});

test("replace, history, restore and delete", async ({ page, signIn }) => {
	await signIn();
	await put(page, "openai_api_key", "sk-one");
	await page.reload();
	await page.getByRole("button", { name: "Replace openai_api_key" }).click();
	await expect(field(page, "openai_api_key New value")).toBeFocused();
	await page.keyboard.type("sk-two");
	await page.keyboard.press("Enter");
	await expect(section(page, "OpenAI").getByText("Set · version 2 · just now")).toBeVisible();

	await page.getByRole("button", { name: "History of openai_api_key" }).click();
	const history = page.getByRole("dialog", { name: "History of openai_api_key" });
	await history.getByRole("button", { name: "Restore version 1" }).click();
	await expect(history).toBeHidden();
	await expect(section(page, "OpenAI").getByText("Set · version 3 · just now")).toBeVisible();

	await page.getByRole("button", { name: "Delete openai_api_key" }).click();
	const dialog = page.getByRole("dialog", { name: "Delete openai_api_key?" });
	await dialog.getByRole("button", { name: "Cancel" }).click();
	await expect(dialog).toBeHidden();
	await page.getByRole("button", { name: "Delete openai_api_key" }).click();
	await dialog.getByRole("button", { name: "Delete", exact: true }).click();
	await expect(field(page, "OpenAI API Key")).toBeVisible();
	expect(await versionOf(page, "openai_api_key")).toBeUndefined();
});

test("custom secrets take any name and several lines, byte for byte", async ({ page, signIn }) => {
	await signIn();
	await page.getByRole("button", { name: "New secret", exact: true }).click();
	await expect(field(page, "Name")).toBeFocused();
	await field(page, "Name").fill("tls-key_1");
	await field(page, "Value").fill("-----BEGIN KEY-----\nabc\n-----END KEY-----\n");
	await page.getByRole("button", { name: "Save New secret" }).click();
	await expect(section(page, "Custom secrets").getByText("tls-key_1")).toBeVisible();
	await expect(field(page, "Value")).toHaveValue("");

	// Saved again over the API, the same bytes make no new version: so they are the same.
	await put(page, "tls-key_1", "-----BEGIN KEY-----\nabc\n-----END KEY-----\n");
	expect(await versionOf(page, "tls-key_1")).toBe(1);
});

test("names and values at the limit are taken, over it they are refused in words", async ({
	page,
	signIn,
}) => {
	await signIn();
	const longest = "n".repeat(128);
	await field(page, "Name").fill(`${longest}n`);
	await field(page, "Value").fill("x".repeat(65_537));
	await page.getByRole("button", { name: "Save New secret" }).click();
	await expect(page.getByText("A name has at most 128 characters; this one has 129.")).toBeVisible();
	await expect(page.getByText("this one has 65,537.")).toBeVisible();
	await field(page, "Name").fill(longest);
	await field(page, "Value").fill("x".repeat(65_536));
	await page.getByRole("button", { name: "Save New secret" }).click();
	await expect(section(page, "Custom secrets").getByText(longest)).toBeVisible();
	expect(await versionOf(page, longest)).toBe(1);
});

test("a name that is there already is not written over", async ({
	page,
	signIn,
	context,
	expectComplaints,
}) => {
	expectComplaints(/409 \(Conflict\)/);
	await signIn();
	const other = await context.newPage();
	await other.goto("/api-keys");
	await put(other, "shared_name", "first");
	await field(page, "Name").fill("shared_name");
	await field(page, "Value").fill("second");
	await page.getByRole("button", { name: "Save New secret" }).click();
	await expect(page.getByText("shared_name exists already.")).toBeVisible();
	await expect(field(page, "Value")).toHaveValue("second");
	expect(await versionOf(page, "shared_name")).toBe(1);
	// Its row is here now, though this tab was never reloaded.
	await expect(page.getByRole("button", { name: "Replace shared_name" })).toBeVisible();
});

test("two tabs add the same key: the second is asked", async ({
	page,
	context,
	signIn,
	expectComplaints,
}) => {
	expectComplaints(/409 \(Conflict\)/);
	await signIn();
	await field(page, "OpenAI API Key").fill("sk-second");
	const other = await context.newPage();
	await other.goto("/api-keys");
	await field(other, "OpenAI API Key").fill("sk-first");
	await other.getByRole("button", { name: "Save OpenAI" }).click();
	await expect(section(other, "OpenAI").getByText("Set · version 1")).toBeVisible();

	await page.getByRole("button", { name: "Save OpenAI" }).click();
	const conflict = page.getByRole("dialog", { name: "openai_api_key was set meanwhile" });
	await expect(conflict).toContainText("version 1");
	await expect(conflict).toContainText("9 characters, typed while nothing was stored");
	expect(await versionOf(page, "openai_api_key")).toBe(1);
	await page.keyboard.press("Escape");
	await expect(field(page, "openai_api_key New value")).toHaveValue("sk-second");
	await page.getByRole("button", { name: "Save OpenAI" }).click();
	await conflict.getByRole("button", { name: "Replace it with mine" }).click();
	await expect(section(page, "OpenAI").getByText("Set · version 2")).toBeVisible();
});

for (const keep of ["mine", "theirs"] as const) {
	test(`two tabs edit one secret: ${keep} stays`, async ({ page, context, signIn, expectComplaints }) => {
		expectComplaints(/409 \(Conflict\)/);
		await signIn();
		await put(page, "openai_api_key", "sk-one");
		await page.reload();
		await page.getByRole("button", { name: "Replace openai_api_key" }).click();
		await page.keyboard.type("sk-mine");

		const other = await context.newPage();
		await other.goto("/api-keys");
		await other.getByRole("button", { name: "Replace openai_api_key" }).click();
		await other.keyboard.type("sk-theirs");
		await other.keyboard.press("Enter");
		await expect(section(other, "OpenAI").getByText("Set · version 2")).toBeVisible();

		await page.bringToFront();
		await page.getByRole("button", { name: "Save OpenAI" }).click();
		const conflict = page.getByRole("dialog", { name: "openai_api_key was changed meanwhile" });
		await expect(conflict.getByText("version 2")).toBeVisible();
		await expect(conflict.getByText("7 characters, typed over version 1")).toBeVisible();
		if (keep === "mine") {
			await conflict.getByRole("button", { name: "Replace it with mine" }).click();
			await expect(section(page, "OpenAI").getByText("Set · version 3")).toBeVisible();
		} else {
			await conflict.getByRole("button", { name: "Keep what is stored" }).click();
			await expect(section(page, "OpenAI").getByText("Set · version 2")).toBeVisible();
			expect(await versionOf(page, "openai_api_key")).toBe(2);
		}
		await expect(field(page, "openai_api_key New value")).toBeHidden();
	});
}

test("a secret deleted in another tab can be made again with what was typed", async ({
	page,
	context,
	signIn,
	expectComplaints,
}) => {
	expectComplaints(/40[49] \(/);
	await signIn();
	await put(page, "openai_api_key", "sk-one");
	await page.reload();
	await page.getByRole("button", { name: "Replace openai_api_key" }).click();
	await page.keyboard.type("sk-mine");
	const other = await context.newPage();
	await other.goto("/api-keys");
	expect((await other.request.delete("/api/secrets/openai_api_key")).ok()).toBe(true);
	await page.bringToFront();
	await page.keyboard.press("Control+s");
	await page.getByRole("dialog").getByRole("button", { name: "Make it again with mine" }).click();
	await expect(section(page, "OpenAI").getByText("Set · version 2")).toBeVisible();
});

test("a pasted .env file is shown before anything is saved", async ({ page, signIn }) => {
	await signIn();
	await put(page, "openai_api_key", "sk-one");
	await put(page, "keep", "same");
	await page.reload();
	await page.getByRole("button", { name: "Import .env" }).click();
	await page
		.getByRole("textbox", { name: "Content of the file" })
		.fill(
			"# mine\nOPENAI_API_KEY=sk-two\nexport KEEP='same'\nNEW=\"a\\nb\"\nbad.name=1\n\nnonsense\nEMPTY=\n",
		);
	await page.getByRole("button", { name: "Preview" }).click();
	const preview = page.getByRole("dialog", { name: "What would change" });
	await expect(preview).toContainText("1 new, 1 changed, 1 unchanged, 2 invalid, 1 line skipped");
	await expect(preview).toContainText("Line 7 is not of the form NAME=value");
	expect(await versionOf(page, "openai_api_key")).toBe(1);
	await preview.getByRole("checkbox", { name: "openai_api_key" }).uncheck();
	await preview.getByRole("button", { name: "Import 1 secret" }).click();
	await expect(page.getByText("1 secret imported")).toBeVisible();
	await expect(section(page, "Custom secrets").getByText("new", { exact: true })).toBeVisible();
	expect(await versionOf(page, "openai_api_key")).toBe(1);
	expect(await versionOf(page, "new")).toBe(1);
});

// The import wrote whatever it was given: what another tab had saved after the preview
// was replaced without a word.
test("an import replaces nothing that another tab wrote after its preview", async ({
	page,
	context,
	signIn,
}) => {
	await signIn();
	await put(page, "first", "before");
	await page.reload();
	await page.getByRole("button", { name: "Import .env" }).click();
	await page
		.getByRole("textbox", { name: "Content of the file" })
		.fill("FIRST=imported\nSECOND=imported\nTHIRD=3\n");
	await page.getByRole("button", { name: "Preview" }).click();
	const preview = page.getByRole("dialog", { name: "What would change" });
	await expect(preview).toContainText("2 new, 1 changed");

	const other = await context.newPage();
	await other.goto("/api-keys");
	await put(other, "first", "of the other tab");
	await put(other, "second", "of the other tab");

	await preview.getByRole("button", { name: "Import 3 secrets" }).click();
	await expect(preview.getByRole("alert")).toContainText("Nothing was imported");
	await expect(preview).toContainText("secret first is at version 2 now");
	await expect(preview).toContainText("secret second exists already, at version 1");
	expect(await versionOf(page, "first")).toBe(2);
	expect(await versionOf(page, "third")).toBeUndefined();

	// What was changed elsewhere is left out unless it is chosen again, now on purpose.
	await expect(preview.getByRole("checkbox", { name: "first" })).not.toBeChecked();
	await preview.getByRole("checkbox", { name: "second" }).check();
	await preview.getByRole("button", { name: "Import 2 secrets" }).click();
	await expect(page.getByText("2 secrets imported")).toBeVisible();
	expect(await versionOf(page, "first")).toBe(2);
	expect(await versionOf(page, "second")).toBe(2);
	expect(await versionOf(page, "third")).toBe(1);
});

// K="{"a":"b"}" was cut off at its second quote, shown as New, and would have been saved.
test("a value that cannot be read whole is not offered at all", async ({ page, signIn }) => {
	await signIn();
	await page.getByRole("button", { name: "Import .env" }).click();
	const content = page.getByRole("textbox", { name: "Content of the file" });
	await content.fill('CUT="{"a":"b"}"\nGOOD=1\nPEM=-----BEGIN KEY-----\nMIIE==\n-----END KEY-----\nALSO=2\n');
	await page.getByRole("button", { name: "Preview" }).click();
	const preview = page.getByRole("dialog", { name: "What would change" });
	await expect(preview).toContainText("2 new, 2 lines skipped");
	await expect(preview).toContainText("Line 1 has something after the closing quote");
	await expect(preview).toContainText("Line 3 begins a key or certificate without quotes");
	await preview.getByRole("button", { name: "Back" }).click();
	await content.fill("CUT='it's-4'\n");
	await page.getByRole("button", { name: "Preview" }).click();
	await expect(page.getByText("Nothing of this can be imported: line 1 has something after")).toBeVisible();
});

test("a dropped .env file opens the import", async ({ page, signIn }) => {
	await signIn();
	const data = await page.evaluateHandle(() => {
		const transfer = new DataTransfer();
		transfer.items.add(new File(["DROPPED=1\n"], ".env"));
		return transfer;
	});
	await page.dispatchEvent("main", "drop", { dataTransfer: data });
	const preview = page.getByRole("dialog", { name: "What would change" });
	await expect(preview).toContainText("1 new. Nothing is saved yet.");
	await preview.getByRole("button", { name: "Back" }).click();
	const dialog = page.getByRole("dialog", { name: "Import a .env file" });
	await expect(dialog.getByRole("textbox", { name: "Content of the file" })).toHaveValue("DROPPED=1\n");
});

test("a chosen file is previewed at once, garbage is refused in words", async ({ page, signIn }) => {
	await signIn();
	await page.getByRole("button", { name: "Import .env" }).click();
	const choose = page.locator("input[type=file]");
	await choose.setInputFiles({
		name: "x.bin",
		mimeType: "application/octet-stream",
		buffer: Buffer.from([0, 255, 254, 10, 1]),
	});
	await expect(page.getByText("x.bin is not in UTF-8")).toBeVisible();
	await choose.setInputFiles({ name: "x.txt", mimeType: "text/plain", buffer: Buffer.from("nothing\n") });
	await expect(page.getByText("There is no NAME=value in this.")).toBeVisible();
	await choose.setInputFiles({
		name: "big.env",
		mimeType: "text/plain",
		buffer: Buffer.alloc(600 * 1024, "A"),
	});
	await expect(page.getByText("larger than 512 KiB")).toBeVisible();
	await choose.setInputFiles({ name: ".env", mimeType: "text/plain", buffer: Buffer.from("A=1\nB=2\n") });
	await page.getByRole("button", { name: "Import 2 secrets" }).click();
	await expect(page.getByText("2 secrets imported")).toBeVisible();
});

test("search finds providers and custom secrets, and keeps what is typed", async ({ page, signIn }) => {
	await signIn();
	await put(page, "database_password", "x");
	await page.reload();
	await field(page, "Groq API Key").fill("gsk_kept");
	await page.getByRole("searchbox", { name: "Search secrets" }).fill("database");
	await expect(section(page, "Custom secrets")).toBeVisible();
	await expect(section(page, "Groq")).toBeHidden();
	await page.getByRole("searchbox", { name: "Search secrets" }).fill("zzz");
	await expect(page.getByText("No secret and no provider matches.")).toBeVisible();
	await page.getByRole("button", { name: "Clear the search" }).click();
	await expect(field(page, "Groq API Key")).toHaveValue("gsk_kept");
	expect(page.url()).not.toContain("zzz");
});

test("leaving with something unsaved asks, by link, by back and by closing", async ({ page, signIn }) => {
	await signIn("/releases");
	await page.getByRole("link", { name: "API keys" }).click();
	await field(page, "Groq API Key").fill("gsk_unsaved");
	await page.getByRole("link", { name: "Settings" }).click();
	const ask = page.getByRole("dialog", { name: "Leave without saving?" });
	await expect(ask).toContainText("Groq");
	await ask.getByRole("button", { name: "Stay here" }).click();
	await expect(field(page, "Groq API Key")).toHaveValue("gsk_unsaved");
	await page.goBack();
	await expect(ask).toBeVisible();
	await page.keyboard.press("Escape");
	await expect(field(page, "Groq API Key")).toHaveValue("gsk_unsaved");
	let asked = false;
	page.once("dialog", async (dialog) => {
		asked = dialog.type() === "beforeunload";
		await dialog.dismiss();
	});
	await page.evaluate(() => location.reload()).catch(() => undefined);
	await expect.poll(() => asked).toBe(true);
	await page.getByRole("link", { name: "Settings" }).click();
	await ask.getByRole("button", { name: "Leave" }).click();
	await expect(page).toHaveURL("/settings");
});

test("every machine's version is beside the secret", async ({ page, signIn, server }) => {
	const email = await signIn();
	await put(page, "openai_api_key", "sk-one");
	await put(page, "openai_api_key", "sk-two");
	await server.report(email, "box-1", { secrets: [{ name: "openai_api_key", version: 2 }] });
	await server.report(email, "box-2", { secrets: [{ name: "openai_api_key", version: 1 }] });
	await server.report(email, "box-3", { secrets: [] });
	await page.reload();
	const machines = page.getByRole("list", { name: "Machines with openai_api_key" });
	await expect(machines.getByRole("listitem")).toHaveText([
		"box-1: version 2, just now",
		"box-2: behind, version 1, just now",
		"box-3: not there yet",
	]);
});

test("the secrets a provider's section uses are the ones the file of providers names", async ({
	page,
	signIn,
}) => {
	await signIn();
	const source = await readFile("src/features/api-keys/providers.ts", "utf8");
	const titles = [...source.matchAll(/title: "([^"]+)"/g)].map((match) => match[1] ?? "");
	expect(titles.length).toBeGreaterThanOrEqual(17);
	for (const title of titles) await expect(section(page, title)).toBeVisible();
});

test.describe("a link of the command line's", () => {
	test("leads to the value of a secret that is missing", async ({ page, signIn }) => {
		await signIn();
		await page.goto("/api-keys?new=db_password");
		const added = section(page, "New secret");
		await expect(added.getByRole("textbox", { name: "Name" })).toHaveValue("db_password");
		await expect(added.getByRole("textbox", { name: "Value" })).toBeFocused();
		await expect(page).toHaveURL("/api-keys");
		// Nothing was typed yet: one may leave.
		await page.getByRole("link", { name: "Releases" }).click();
		await expect(page).toHaveURL("/releases");
		await page.goto("/api-keys?new=db_password");
		await expect(added.getByRole("textbox", { name: "Value" })).toBeFocused();
		await page.keyboard.type("typed at once");
		await added.getByRole("button", { name: "Save New secret" }).click();
		await expect(page.getByText("db_password saved")).toBeVisible();
		await expect(section(page, "Custom secrets").getByText("db_password")).toBeVisible();
		await expect(page.getByText("is stored already")).toBeHidden();
		await page.reload();
		await expect(added.getByRole("textbox", { name: "Name" })).toHaveValue("");
	});

	test("leads to the provider's field", async ({ page, signIn }) => {
		await signIn();
		await page.goto("/api-keys?new=groq_api_key");
		await expect(field(page, "Groq API Key")).toBeFocused();
	});

	test("says of what is stored how to bring it to the machine", async ({ page, signIn }) => {
		await signIn();
		for (const name of ["openai_api_key", "own"]) {
			await put(page, name, "value");
			await page.goto(`/api-keys?new=${name}`);
			await expect(page.getByRole("status").filter({ hasText: `${name} is stored already` })).toBeVisible();
			await expect(page.getByRole("button", { name: `Replace ${name}` })).toBeFocused();
		}
	});

	test("with what is no name says why", async ({ page, signIn }) => {
		await signIn();
		await page.goto("/api-keys?new=no%20name%3Cb%3E");
		const name = section(page, "New secret").getByRole("textbox", { name: "Name" });
		await expect(name).toBeFocused();
		await expect(name).toHaveAccessibleDescription(/letters, digits/);
		await page.goto("/api-keys?new=42");
		await expect(name).toHaveValue("42");
	});

	test("is followed after sign-in", async ({ page, server, expectComplaints }) => {
		expectComplaints(/401 \(Unauthorized\)/);
		await page.goto("/api-keys?new=db_password");
		await expect(page.getByRole("heading", { name: "You are signed out" })).toBeVisible();
		await page.goto(await server.loginLink("link@example.com"));
		await expect(section(page, "New secret").getByRole("textbox", { name: "Value" })).toBeFocused();
	});
});
