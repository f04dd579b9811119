import { randomBytes } from "node:crypto";
import type { Server } from "./server.ts";
import { expect, test } from "./world.ts";

interface State {
	state: string;
	code: string;
	poll: string;
	fingerprint: string;
	user?: { email: string };
	machine?: { name: string; role: string; groups: string[] };
}

async function ask(server: Server, path: string, body: object): Promise<{ status: number; data: State }> {
	const response = await fetch(server.url + path, {
		method: "POST",
		headers: { "Content-Type": "application/json" },
		body: JSON.stringify(body),
	});
	return { status: response.status, data: (await response.json()).data };
}

const newcomer = (name: string) => ({
	name,
	unix_user: "me",
	public_key: randomBytes(32).toString("base64url"),
});

test("a machine that shows a code is compared, approved, changed and revoked", async ({
	page,
	signIn,
	server,
}) => {
	const email = await signIn("/settings");
	const machines = page.getByRole("region", { name: "Signed in" });
	await expect(machines.getByText("No machine is signed in yet")).toBeVisible();
	const { data: waits } = await ask(server, "/api/enrolments", newcomer("debian"));
	await machines.getByRole("link", { name: "Enter a code" }).click();
	await page.getByRole("textbox", { name: "Code" }).fill("nonsense");
	await page.keyboard.press("Enter");
	await expect(page.getByText("A code has 8 letters and no vowels")).toBeVisible();
	await page.getByRole("textbox", { name: "Code" }).fill(waits.code.toLowerCase().replace("-", " "));
	await page.keyboard.press("Enter");
	await expect(page.getByText(waits.fingerprint)).toBeVisible();
	await expect(page.getByText("Approve it only if the machine in front of you shows this key")).toBeVisible();
	await page.getByRole("textbox", { name: "Name" }).fill("nas");
	await page.getByRole("textbox", { name: "Groups (optional)" }).fill("home, media");
	await page.getByRole("radio", { name: "Deliver" }).check();
	await page.getByRole("button", { name: "Approve" }).click();
	await expect(page.getByText("nas is signed in")).toBeVisible();
	const { data: done } = await ask(server, "/api/enrolments:poll", { poll: waits.poll });
	expect(done).toMatchObject({
		state: "enrolled",
		user: { email },
		machine: { name: "nas", role: "deliver", groups: ["home", "media"] },
	});

	await expect(machines.getByText(waits.fingerprint)).toBeVisible();
	await machines.getByRole("button", { name: "Change nas" }).click();
	const change = page.getByRole("dialog", { name: "Change nas" });
	await change.getByRole("textbox", { name: "Name" }).fill("attic");
	await page.keyboard.press("Enter");
	await expect(machines.getByText("attic · me · deliver · home, media")).toBeVisible();
	await machines.getByRole("button", { name: "Revoke attic" }).click();
	await page.getByRole("dialog", { name: "Revoke attic?" }).getByRole("button", { name: "Revoke" }).click();
	await expect(machines.getByText("No machine is signed in yet")).toBeVisible();
	expect((await ask(server, "/api/enrolments:poll", { poll: waits.poll })).status).toBe(404);
});

test("a machine is denied, and a code that nothing waits under says so", async ({
	page,
	signIn,
	server,
	expectComplaints,
}) => {
	expectComplaints(/404 \(/);
	await signIn();
	const { data: waits } = await ask(server, "/api/enrolments", newcomer("theirs"));
	await page.goto(`/machines/connect?code=${waits.code}`);
	await page.getByRole("button", { name: "Deny" }).click();
	await expect(page.getByText("The machine was denied")).toBeVisible();
	expect((await ask(server, "/api/enrolments:poll", { poll: waits.poll })).status).toBe(404);
	await page.goto(`/machines/connect?code=${waits.code}`);
	await expect(page.getByRole("heading", { name: "This code does not work" })).toBeVisible();
	await page.getByRole("button", { name: "Try again" }).click();
	await expect(page.getByRole("textbox", { name: "Code" })).toBeVisible();
});

test("an invitation is shown once, enrols one machine, and can be withdrawn", async ({
	page,
	signIn,
	server,
}) => {
	await signIn("/settings");
	const machines = page.getByRole("region", { name: "Signed in" });
	const invite = async (name: string) => {
		await machines.getByRole("button", { name: "Invite a machine…" }).click();
		const dialog = page.getByRole("dialog");
		await dialog.getByRole("textbox", { name: "Name" }).fill(name);
		await dialog.getByRole("button", { name: "Make the invitation" }).click();
		const text = await dialog.getByText(/^leger-invite-/).textContent();
		await dialog.getByRole("button", { name: "Done" }).click();
		return text ?? "";
	};
	const invitation = await invite("cloud");
	await expect(machines.getByText("cloud · deliver")).toBeVisible();
	expect(await page.content()).not.toContain(invitation);
	const { data } = await ask(server, "/api/enrolments", { ...newcomer("box"), invitation });
	expect(data.machine).toMatchObject({ name: "cloud", role: "deliver" });
	expect((await ask(server, "/api/enrolments", { ...newcomer("box"), invitation })).status).toBe(404);
	await page.reload();
	await expect(machines.getByRole("button", { name: "Revoke cloud" })).toBeVisible();
	await expect(machines.getByText("Open invitations")).toBeHidden();

	const second = await invite("other");
	await machines.getByRole("button", { name: "Withdraw the invitation of other" }).click();
	await expect(machines.getByText("Open invitations")).toBeHidden();
	expect((await ask(server, "/api/enrolments", { ...newcomer("box"), invitation: second })).status).toBe(404);
});
