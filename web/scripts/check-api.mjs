// Fails when src/api/schema.d.ts is not what api/openapi.yaml gives.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const folder = mkdtempSync(path.join(tmpdir(), "leger-api-"));
try {
	const fresh = path.join(folder, "schema.d.ts");
	const flags = ["--default-non-nullable", "false", "-o", fresh];
	execFileSync("npx", ["--no-install", "openapi-typescript", "../api/openapi.yaml", ...flags], {
		stdio: ["ignore", "ignore", "inherit"],
	});
	if (readFileSync(fresh, "utf8") !== readFileSync("src/api/schema.d.ts", "utf8")) {
		console.error("web/src/api/schema.d.ts is not what api/openapi.yaml gives\nhint: cd web && npm run api");
		process.exitCode = 1;
	}
} finally {
	rmSync(folder, { recursive: true });
}
