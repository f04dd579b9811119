import { defineConfig } from "@playwright/test";

/** The pages in Chromium, against the real server: one worker, since the machine is shared. */
export default defineConfig({
	testDir: "tests",
	testIgnore: ["screenshots.spec.ts", "lighthouse.spec.ts"],
	workers: 1,
	forbidOnly: true,
	timeout: 60_000,
	expect: { timeout: 7_000 },
	reporter: [["list"]],
	use: {
		actionTimeout: 10_000,
		browserName: "chromium",
		viewport: { width: 1280, height: 900 },
		locale: "en-GB",
		timezoneId: "UTC",
		launchOptions: {
			executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
			args: [
				"--no-sandbox",
				"--disable-gpu",
				"--disable-quic",
				"--no-first-run",
				"--disable-background-networking",
				"--disable-component-update",
				"--disable-sync",
			],
		},
	},
});
