import { describe, expect, it } from "vitest";
import { providerSecrets, providers } from "./providers.ts";
import { nameProblem, valueProblem, valueWarning } from "./secret-rules.ts";

describe("values", () => {
	it("are 1 byte to 64 KiB of UTF-8", () => {
		expect(valueProblem("")).toBeDefined();
		expect(valueProblem("x".repeat(65_536))).toBeUndefined();
		expect(valueProblem("x".repeat(65_537))).toContain("65,537");
		expect(valueProblem("é".repeat(32_769))).toContain("65,538");
		expect(valueProblem("\ud800")).toBeDefined();
	});

	it("that look wrong are warned about, never refused", () => {
		const field = { secret: "k", label: "API key", placeholder: "sk-…", shape: /^sk-/ };
		expect(valueWarning("", field)).toBeUndefined();
		expect(valueWarning("sk-abc", field)).toBeUndefined();
		expect(valueWarning("pk-abc", field)).toContain("sk-…");
		expect(valueWarning("sk-abc ", field)).toContain("white space");
		expect(valueWarning("anything\n")).toContain("ends with a newline. To drop it");
		expect(valueWarning("two\nlines\n")).toContain("ends with a newline");
		expect(valueWarning("two\nlines")).toBeUndefined();
	});
});

describe("providers", () => {
	it("use names the server takes, each once", () => {
		const names = providers.flatMap((provider) => provider.fields.map((field) => field.secret));
		expect(names.map(nameProblem).filter(Boolean)).toEqual([]);
		expect(new Set(names).size).toBe(names.length);
		expect(providerSecrets.has("openai_org_id")).toBe(true);
	});

	it("show a hint that fits the shape they expect", () => {
		for (const { shape, placeholder } of providers.flatMap((provider) => provider.fields)) {
			if (shape) expect(placeholder).toMatch(shape);
		}
	});

	it("link to https pages", () => {
		for (const { url } of providers) expect(url).toMatch(/^https:\/\/[^?#]+$/);
	});
});
