import { describe, expect, it } from "vitest";
import table from "./dotenv.cases.json" with { type: "json" };
import generated from "./dotenv.generated.json" with { type: "json" };
import { decodeText, parseDotenv } from "./dotenv.ts";

type Values = Record<string, string>;
interface Answers {
	text: string;
	compose: Values;
	composeFails?: boolean;
	dotenv: Values;
}

const valuesOf = (text: string): Values =>
	Object.fromEntries(parseDotenv(text).entries.map(({ name, value }) => [name, value]));

/**
 * A value that Leger reads is the whole value: the one that both references give.
 * It was seen that K="{"a":"b"}" became "{", shown as "New", and would have been
 * saved. Where docker compose refuses the file, what it had read by then counts if
 * nothing gives the name another value further down.
 */
function expectWhole({ text, compose, composeFails, dotenv }: Answers) {
	for (const [name, value] of Object.entries(valuesOf(text))) {
		const where = JSON.stringify({ text, name });
		expect(dotenv[name], where).toBe(value);
		const again = text.split(name).length > 2;
		if (composeFails !== true || (name in compose && !again)) expect(compose[name], where).toBe(value);
	}
}

describe("parseDotenv", () => {
	it("has a table to be tested with", () => {
		expect(table.cases.length).toBeGreaterThanOrEqual(80);
		expect(generated.texts.length).toBeGreaterThanOrEqual(1000);
	});

	it.each(table.cases as unknown as (Answers & { values: Values; problems: number[] })[])(
		"reads $text",
		(example) => {
			const parsed = parseDotenv(example.text);
			expect(valuesOf(example.text)).toEqual(example.values);
			expect(parsed.problems.map(({ line }) => line)).toEqual(example.problems);
			expectWhole(example);
		},
	);

	it("reads whole values or none of made up texts", () => {
		for (const answers of generated.texts as unknown as Answers[]) expectWhole(answers);
	});

	it("repeats nothing of a line it cannot read: it may be part of a key", () => {
		for (const text of ["sk-canary\n", "A='x'canary", "A=`canary`", "A='canary\n", "A=$canary"]) {
			expect(JSON.stringify(parseDotenv(text).problems)).not.toContain("canary");
		}
	});

	it("gives the line a value begins at", () => {
		expect(parseDotenv('A="1\n2"\n\nB=1').entries.map((entry) => entry.line)).toEqual([1, 4]);
	});
});

describe("decodeText", () => {
	const bytes = (...numbers: number[]) => new Uint8Array(numbers).buffer;

	it("takes UTF-8, with and without a mark", () => {
		expect(decodeText(new TextEncoder().encode("A=é🔑").buffer)).toEqual({ text: "A=é🔑" });
		expect(decodeText(bytes(0xef, 0xbb, 0xbf, 0x41))).toEqual({ text: "A" });
		expect(decodeText(bytes())).toEqual({ text: "" });
	});

	// Read as UTF-8 these lost every letter outside ASCII, and said so to nobody.
	it.each([
		["UTF-16, little end first", bytes(0xff, 0xfe, 0x41, 0x00), "UTF-16"],
		["UTF-16, big end first", bytes(0xfe, 0xff, 0x00, 0x41), "UTF-16"],
		["UTF-16 without a mark", bytes(0x41, 0x00, 0x3d, 0x00), "UTF-16"],
		["Latin-1", bytes(0x41, 0x3d, 0xe9), "Latin-1"],
	])("refuses %s", (_, file, why) => {
		expect(JSON.stringify(decodeText(file))).toContain(why);
	});
});
