import { expect, test } from "./world.ts";

test("without machines the page says how one gets there", async ({ page, signIn }) => {
	await signIn("/hosts");
	await expect(page.getByRole("heading", { name: "No machine has reported yet" })).toBeVisible();
	await expect(page.getByText("leger secrets sync")).toBeVisible();
});

const at = () => new Date().toISOString();

test("a deployment shows its health, and what is to be looked at on demand", async ({
	page,
	signIn,
	server,
}) => {
	const email = await signIn();
	const drift = {
		kind: "file_changed",
		subject: "web.container",
		text: "was changed since it was installed",
	};
	await server.report(email, "box-1", {
		deployments: [
			{
				release: "web",
				commit: "0123456789abcdef0123456789abcdef01234567",
				state: "active",
				updated_at: at(),
				generation: 4,
				health: "healthy",
				findings: [drift, { kind: "of_a_newer_leger", text: "<b>says</b> something else" }],
			},
			{
				release: "db",
				state: "failed",
				updated_at: at(),
				units: [{ name: "db.service", state: "failed" }],
				health: "failed",
				findings: [{ kind: "unit_failed", subject: "db.service", text: "has failed (exit-code)" }],
			},
			{ release: "quiet", state: "active", updated_at: at(), health: "healthy" },
			{ release: "strange", state: "unknown", updated_at: at(), health: "unknown" },
			{ release: "of-an-older-leger", state: "stopped", updated_at: at() },
		],
	});
	await server.report(email, "box-2", { deployments: [] });
	await page.goto("/hosts");
	const machine = page.getByRole("region", { name: "box-1" });
	const row = (release: string) =>
		machine.getByRole("listitem").filter({ has: page.getByText(release, { exact: true }) });
	await expect(row("web")).toContainText("healthy");
	await expect(row("web")).toContainText("0123456789 · generation 4 · installed just now · checked just now");
	await expect(row("quiet")).toContainText("healthy");
	await expect(row("strange")).toContainText("unknown");
	await expect(row("of-an-older-leger")).toContainText("unhealthy");
	await expect(row("of-an-older-leger")).not.toContainText("generation");
	await expect(row("quiet").getByRole("group")).toHaveCount(0);
	await expect(page.getByRole("region", { name: "box-2" })).toContainText("No release is installed there.");

	// What is broken is told at once; what merely drifted, when it is asked for.
	await expect(machine.getByText("has failed (exit-code)")).toBeVisible();
	const drifted = machine.getByText("was changed since it was installed");
	await expect(drifted).toBeHidden();
	const summary = machine.getByText("2 findings about web on box-1");
	await summary.focus();
	await page.keyboard.press("Enter");
	await expect(drifted).toBeVisible();
	await expect(machine.getByText("<b>says</b> something else")).toBeVisible();
	await page.keyboard.press("Space");
	await expect(drifted).toBeHidden();

	// What was opened stays open when the page asks again and there is more of it.
	await summary.click();
	await server.report(email, "box-1", {
		deployments: [
			{
				release: "web",
				state: "active",
				updated_at: at(),
				health: "healthy",
				findings: [drift, { ...drift, subject: "db.container" }, { kind: "more", text: "and 1 more" }],
			},
		],
	});
	await expect(async () => {
		await page.evaluate(() => window.dispatchEvent(new Event("visibilitychange"))); // what is new enough is not asked for
		await expect(machine.getByText("3 findings about web on box-1")).toBeVisible({ timeout: 500 });
	}).toPass({ timeout: 15_000 });
	await expect(machine.getByText("and 1 more")).toBeVisible();
});

test("a secret that is gone from a machine is told with the unit that uses it", async ({
	page,
	signIn,
	server,
}) => {
	const email = await signIn();
	await server.report(email, "box-1", {
		deployments: [
			{
				release: "web",
				state: "active",
				updated_at: at(),
				health: "healthy",
				units: [{ name: "web.service", state: "active" }],
				findings: [
					{
						kind: "secret_gone",
						subject: "web.service",
						text: "uses the secret api_key, which is gone from this machine",
					},
				],
			},
		],
	});
	await page.goto("/hosts");
	const machine = page.getByRole("region", { name: "box-1" });
	await machine.getByText("1 finding about web on box-1").click();
	await expect(
		machine.getByRole("listitem").filter({ hasText: "uses the secret api_key" }).last(),
	).toContainText("web.service uses the secret api_key, which is gone from this machine");
});

test("a machine shows what it holds and runs, until it is forgotten", async ({ page, signIn, server }) => {
	const email = await signIn();
	for (const value of ["one", "two"])
		await page.request.post("/api/secrets/openai_api_key", { data: { value } });
	await page.request.post("/api/secrets/smtp_password", { data: { value: "x" } });
	const created = await page.request.post("/api/releases", {
		data: { name: "web", git_url: "https://host/a" },
	});
	const { id } = (await created.json()).data;
	await page.request.put(`/api/releases/${id}`, { data: { git_branch: "v2" } });
	await server.report(email, "box-1", {
		podman_version: "5.8.1",
		secrets: [{ name: "openai_api_key", version: 1 }],
		deployments: [
			{
				release: "web",
				version: 1,
				commit: "0123456789abcdef0123456789abcdef01234567",
				state: "failed",
				updated_at: new Date().toISOString(),
				units: [
					{ name: "web.service", state: "failed" },
					{ name: "db.service", state: "active" },
				],
			},
		],
	});
	await page.goto("/hosts");
	const machine = page.getByRole("region", { name: "box-1" });
	await expect(machine).toContainText("leger 0.1.0 · Podman 5.8.1");
	await expect(machine).toContainText("0 of 2 at their newest version");
	await expect(machine).toContainText("openai_api_key: behind, version 1 of 2");
	await expect(machine).toContainText("smtp_password: not there yet");
	await expect(machine).toContainText("version 1 (behind, newest is 2)");
	await expect(machine.getByRole("listitem").filter({ hasText: "web.service" }).last()).toContainText(
		"failed",
	);

	await machine.getByRole("link", { name: "web" }).click();
	await expect(page.getByRole("region", { name: "Machines" })).toContainText("box-1 · failed · just now");
	await page.goto("/releases");
	await expect(page.getByRole("main")).toContainText("box-1 · failed");

	await page.goto("/hosts");
	await machine.getByRole("button", { name: "Forget box-1" }).click();
	await page
		.getByRole("dialog", { name: "Forget box-1?" })
		.getByRole("button", { name: "Forget", exact: true })
		.click();
	await expect(page.getByRole("heading", { name: "No machine has reported yet" })).toBeVisible();
	await page.goto("/activity");
	await expect(page.getByText("Forgot the machine box-1")).toBeVisible();
});

test("of many machines, only those on the screen are loaded whole", async ({ page, signIn, server }) => {
	const email = await signIn();
	const name = (n: number) => `box-${String(n).padStart(2, "0")}`;
	for (let n = 0; n < 40; n++) {
		await server.report(email, name(n), {
			secrets: [],
			deployments: [{ release: "web", state: "active", updated_at: at() }],
		});
	}
	const loaded = new Set<string>();
	page.on("request", (request) => {
		const [, device] = /\/api\/hosts\/([^/]+)$/.exec(new URL(request.url()).pathname) ?? [];
		if (device !== undefined) loaded.add(device);
	});
	await page.goto("/hosts");
	await expect(page.getByRole("region", { name: name(0) })).toContainText("healthy");
	const last = page.getByRole("region", { name: name(39) });
	await expect(last).toContainText("0 secrets · 1 release");
	expect(loaded).toContain(name(0));
	expect(loaded.size).toBeLessThan(20);
	await last.scrollIntoViewIfNeeded();
	await expect(last).toContainText("healthy");
});

test("a machine that cannot be loaded says so, and is tried again", async ({
	page,
	signIn,
	server,
	expectComplaints,
}) => {
	expectComplaints(/500 \(Internal Server Error\)/);
	const email = await signIn();
	const deployment = { release: "web", state: "active", updated_at: at() };
	await server.report(email, "box-1", { deployments: [deployment] });
	await page.route("**/api/hosts/box-1", (route) => route.fulfill({ status: 500, body: "" }), { times: 1 });
	await page.goto("/hosts");
	const machine = page.getByRole("region", { name: "box-1" });
	await expect(machine.getByRole("alert")).toBeVisible();
	await expect(machine).toContainText("0 secrets · 1 release");
	await machine.getByRole("button", { name: "Try again to load box-1" }).click();
	await expect(machine).toContainText("healthy");
	await expect(machine.getByRole("alert")).toHaveCount(0);
});
