import { describe, expect, it } from "vitest";
import { parseDotenv } from "./dotenv.ts";

const values = (text: string) =>
	Object.fromEntries(parseDotenv(text).entries.map(({ name, value }) => [name, value]));

describe("parseDotenv", () => {
	it.each([
		["A=1", { A: "1" }],
		["  A = 1  ", { A: "1" }],
		["export A=1", { A: "1" }],
		["A=", { A: "" }],
		["A=a=b==", { A: "a=b==" }],
		["A=1 # one", { A: "1" }],
		["A=#fff", { A: "" }],
		["A=a#b", { A: "a#b" }],
		["A='a # b'", { A: "a # b" }],
		["A='a\\nb'", { A: "a\\nb" }],
		['A="a\\nb\\t\\"c\\" \\\\"', { A: 'a\nb\t"c" \\' }],
		['A="\\d \\$x"', { A: "\\d $x" }],
		['A="one\ntwo"\nB=3', { A: "one\ntwo", B: "3" }],
		["A='-----BEGIN\nx=y\n-----END\n'\nB=2", { A: "-----BEGIN\nx=y\n-----END\n", B: "2" }],
		["# A=1\n\n  # x\nB=2", { B: "2" }],
		["A=1\r\nB=2\r\n", { A: "1", B: "2" }],
		["\uFEFFA=1", { A: "1" }],
		["A=1\nA=2", { A: "2" }],
		["my-key.x=1", { "my-key.x": "1" }],
		["A=$HOME", { A: "$HOME" }],
		["A=ключ 🔑", { A: "ключ 🔑" }],
	])("reads %j", (text, want) => {
		expect(values(text)).toEqual(want);
	});

	it("tells where what it cannot read is, and reads on", () => {
		const parsed = parseDotenv('A=1\nnonsense sk-canary\n=2\nB=3\nC="open\nD=4');
		expect(parsed.entries.map((entry) => entry.name)).toEqual(["A", "B", "D"]);
		expect(parsed.problems.map((problem) => problem.line)).toEqual([2, 3, 5]);
	});

	it("repeats nothing of a line it cannot read: it may be part of a key", () => {
		expect(JSON.stringify(parseDotenv("sk-canary\n").problems)).not.toContain("canary");
	});

	it("gives the line a value begins at", () => {
		expect(parseDotenv('A="1\n2"\n\nB=1').entries.map((entry) => entry.line)).toEqual([1, 4]);
	});

	it("comes to an end on anything", () => {
		let seed = 7;
		const alphabet = "A=\"'\\# \n\rexport \u0000é🔑";
		const random = (n: number) => {
			seed = (seed * 48271) % 2147483647;
			return seed % n;
		};
		for (let round = 0; round < 2000; round++) {
			const text = Array.from({ length: random(40) }, () => alphabet.charAt(random(alphabet.length))).join(
				"",
			);
			const { entries, problems } = parseDotenv(text);
			const lines = text.split(/\r\n|\n|\r/).length;
			for (const { line } of [...entries, ...problems]) expect(line).toBeLessThanOrEqual(lines);
			for (const { name } of entries) expect(name).toMatch(/^[^\s=]+$/);
		}
	});
});
