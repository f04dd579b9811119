import { defineConfig } from "@playwright/test";
import base from "./playwright.config.ts";

/** Lighthouse over every page. Its scores fall when the machine is busy, so this is no part of the checks. */
export default defineConfig(base, {
	testIgnore: [],
	testMatch: "lighthouse.spec.ts",
	timeout: 300_000,
});
