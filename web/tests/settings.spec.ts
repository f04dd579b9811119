import { decodeQR } from "qr/decode.js";
import { Server } from "./server.ts";
import { api, expect, signInAs, test } from "./world.ts";

test("profile, Leger ID and display name", async ({ page, signIn, context, server }) => {
	await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
	const email = await signIn("/settings");
	await expect(page.getByRole("region", { name: "Profile" })).toContainText(email);
	const id = await page.getByRole("textbox", { name: "Leger ID" }).inputValue();
	await page.getByRole("button", { name: "Copy Leger ID" }).click();
	expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(id);

	const name = page.getByRole("textbox", { name: "Display Name" });
	await name.fill("x".repeat(33));
	await expect(page.getByText("33/32")).toBeVisible();
	await expect(page.getByText("at most 32 characters; this one has 33")).toBeVisible();
	await name.fill("Алиса 🔑");
	await expect(page.getByText("7/32")).toBeVisible();
	await page.getByRole("button", { name: "Save Display Name" }).click();
	await expect(page.getByText("Display name saved")).toBeVisible();
	await expect(page.getByRole("banner")).toContainText("Алиса 🔑");
	await page.reload();
	await expect(name).toHaveValue("Алиса 🔑");
});

test("a server that was never backed up says so until it is", async ({ page }, info) => {
	const server = await Server.start();
	await signInAs(page, server, "alice@example.com");
	await page.goto(`${server.url}/settings`);
	const backup = page.getByRole("region", { name: "Server backup" });
	await expect(backup).toContainText("This server has never been backed up");
	await expect(backup).toContainText("The encryption key lies only beside the database");
	await server.operate("backup", info.outputPath("leger.backup"));
	await page.reload();
	await expect(backup).toContainText("Last backed up");
	await expect(backup).toContainText("leger-server recovery-sheet");
	await server.operate("recovery-sheet", "--file", info.outputPath("sheet"));
	await page.reload();
	await expect(backup).toContainText("Last backed up");
	await expect(backup).not.toContainText("lies only beside the database");
	await server.remove();
});

test("the theme holds across a reload, before the first paint", async ({
	page,
	signIn,
	expectComplaints,
}) => {
	expectComplaints(/ERR_FAILED/);
	await signIn("/settings");
	const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	const light = await background();
	await page.getByRole("radio", { name: "Dark" }).check();
	const dark = await background();
	expect(dark).not.toBe(light);
	await page.route("**/assets/*.js", (route) => route.abort());
	await page.goto("/settings", { waitUntil: "domcontentloaded" });
	expect(await background()).toBe(dark);
	await page.unroute("**/assets/*.js");
	await page.goto("/settings");
	await page.getByRole("radio", { name: "System" }).check();
	expect(await background()).toBe(light);
});

test("another browser's session is shown and can be ended", async ({ page, signIn, server, browser }) => {
	const email = await signIn();
	const other = await browser.newContext({
		baseURL: server.url,
		userAgent: "Mozilla/5.0 (X11; Linux) Firefox/140.0",
	});
	const there = await other.newPage();
	await signInAs(there, server, email);
	await page.goto("/settings");
	const sessions = page.getByRole("region", { name: "Signed in" });
	await expect(sessions.getByText("this browser")).toBeVisible();
	await sessions.getByRole("button", { name: "Sign out Firefox on Linux" }).click();
	await expect(sessions.getByText("Firefox on Linux")).toBeHidden();
	expect((await there.request.get("/api/user")).status()).toBe(401);

	await signInAs(there, server, email);
	await page.getByRole("button", { name: "Sign out everywhere else" }).click();
	const ask = page.getByRole("dialog", { name: "Sign out everywhere else?" });
	await ask.getByRole("button", { name: "Sign out everywhere else" }).click();
	await expect(ask).toBeHidden();
	expect((await there.request.get("/api/user")).status()).toBe(401);
	expect((await page.request.get("/api/user")).status()).toBe(200);
	await other.close();
});

test("a browser signs another one in, by a link that works once", async ({
	page,
	signIn,
	server,
	browser,
	expectComplaints,
}) => {
	const email = await signIn("/settings");
	await page.getByRole("button", { name: "Sign another browser in…" }).click();
	const dialog = page.getByRole("dialog", { name: "Sign another browser in" });
	const link = (await dialog.locator("code").textContent()) ?? "";
	expect(link).toMatch(/\/auth\?token=leger-link-/);
	await expect(dialog.getByText(/within 1[0-9][0-9] seconds/)).toBeVisible();
	// What a phone's camera reads is that link.
	const image = dialog.getByRole("img", { name: "The link as a QR code" });
	const path = (await image.locator("path").getAttribute("d")) ?? "";
	const size = Number((await image.getAttribute("viewBox"))?.split(" ")[2]);
	expect(decodeQR(picture(path, size, 4))).toBe(link);

	const other = await browser.newContext({
		baseURL: server.url,
		userAgent: "Mozilla/5.0 (Android) Firefox/140.0",
	});
	const there = await other.newPage();
	await there.goto(link);
	await expect(there.getByRole("heading", { level: 1, name: "API Keys & Integrations" })).toBeVisible();
	expect((await api<{ email: string }>(there, "/api/user")).email).toBe(email);
	expect(there.url()).not.toContain("leger-link-");
	const late = await other.newPage();
	expectComplaints(/401 \(/);
	await late.goto(link);
	await expect(late.getByRole("heading", { name: "This link does not work any more" })).toBeVisible();

	await dialog.getByRole("button", { name: "Done" }).click();
	await page.reload();
	const signedIn = page.getByRole("region", { name: "Signed in" });
	await expect(signedIn.getByRole("listitem")).toHaveCount(2);
	await expect(signedIn.getByRole("listitem").first()).toContainText("this browser");
	await other.close();
});

test("a link whose time is over is not shown, and another one is made", async ({ page, signIn }) => {
	await signIn("/settings");
	await page.clock.install();
	await page.getByRole("button", { name: "Sign another browser in…" }).click();
	const dialog = page.getByRole("dialog", { name: "Sign another browser in" });
	const first = await dialog.locator("code").textContent();
	await page.clock.fastForward("02:05");
	await expect(dialog.getByText("The link's time is over.")).toBeVisible();
	await expect(dialog.locator("code")).toBeHidden();
	await page.clock.setSystemTime(new Date());
	await dialog.getByRole("button", { name: "Make another link" }).click();
	await expect(dialog.locator("code")).toBeVisible();
	expect(await dialog.locator("code").textContent()).not.toBe(first);
});

/** The pixels of a path of squares, each so many pixels wide. */
function picture(path: string, size: number, scale: number) {
	const width = size * scale;
	const data = new Uint8Array(width * width * 4).fill(255);
	for (const [, x, y] of path.matchAll(/M(\d+) (\d+)/g)) {
		for (let at = 0; at < scale * scale; at++) {
			const column = Number(x) * scale + (at % scale);
			const row = Number(y) * scale + Math.floor(at / scale);
			data.fill(0, (row * width + column) * 4, (row * width + column) * 4 + 3);
		}
	}
	return { width, height: width, data };
}

test("deleting the account asks for the e-mail, and then nothing is left", async ({
	page,
	signIn,
	server,
	expectComplaints,
}) => {
	expectComplaints(/401 \(/);
	const email = await signIn();
	await page.request.post("/api/secrets/openai_api_key", { data: { value: "sk-one" } });
	await page.goto("/settings");
	await page.getByRole("button", { name: "Delete account…" }).click();
	const dialog = page.getByRole("dialog", { name: "Delete your account?" });
	await expect(dialog.getByRole("button", { name: "Delete account" })).toBeDisabled();
	await page.keyboard.type(email);
	await dialog.getByRole("button", { name: "Delete account" }).click();
	await expect(page).toHaveURL("/signed-out");
	// The deletion ended every token of its own second.
	const deleted = Math.floor(Date.now() / 1000);
	await expect.poll(() => Math.floor(Date.now() / 1000)).toBeGreaterThan(deleted);
	await signInAs(page, server, email);
	await expect(page.getByText("Nothing is stored yet")).toBeVisible();
});

test("the activity shows what was done, page by page", async ({ page, signIn }) => {
	await signIn();
	for (let i = 0; i < 60; i++) await page.request.post("/api/secrets/counter", { data: { value: `v${i}` } });
	await page.goto("/activity");
	await expect(page.getByText("Replaced the secret counter · version 60")).toBeVisible();
	await expect(page.getByText("Signed in")).toBeHidden();
	await page.getByRole("button", { name: "Show older" }).click();
	await expect(page.getByText("Signed in").first()).toBeVisible();
	await expect(page.getByText("Created the secret counter · version 1", { exact: true })).toBeVisible();
});
