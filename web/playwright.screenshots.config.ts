import { defineConfig } from "@playwright/test";
import base from "./playwright.config.ts";

/** Pictures of every page and state, into screenshots/. */
export default defineConfig(base, {
	testIgnore: [],
	testMatch: "screenshots.spec.ts",
});
