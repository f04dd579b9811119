import { expect, test } from "./world.ts";

test("without machines the page says how one gets there", async ({ page, signIn }) => {
	await signIn("/hosts");
	await expect(page.getByRole("heading", { name: "No machine has reported yet" })).toBeVisible();
	await expect(page.getByText("leger secrets sync")).toBeVisible();
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
