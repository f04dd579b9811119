import { expect, it } from "vitest";
import type { AuditEvent } from "#api/queries.ts";
import { describeCaller, describeEvent } from "./describe.ts";

const event = (fields: Partial<AuditEvent>): AuditEvent => ({
	id: 1,
	at: "2026-01-01T00:00:00Z",
	action: "secret.read",
	credential: "token",
	...fields,
});

it("says what was done, in words", () => {
	expect(describeEvent(event({ subject: "*", count: 12 }))).toBe("Read 12 secrets");
	expect(describeEvent(event({ action: "secret.update", subject: "openai_api_key" }))).toBe(
		"Replaced the secret openai_api_key",
	);
	expect(describeEvent(event({ action: "access.denied" }))).toBe("Was refused access");
});

it("shows what a newer server calls an event", () => {
	expect(describeEvent(event({ action: "moon.land", subject: "box-1" }))).toBe("moon.land box-1");
});

it("says by what means", () => {
	expect(describeCaller(event({ device_id: "box-1", remote_addr: "100.64.0.1" }))).toBe(
		"command line · box-1 · 100.64.0.1",
	);
});
