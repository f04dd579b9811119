import { expect, it } from "vitest";
import { pages } from "./pages.ts";

it("gives the items of all pages", async () => {
	const asked: unknown[] = [];
	const all = await pages(async (query) => {
		asked.push(query);
		return query.cursor === undefined ? { items: [1, 2], next: "b" } : { items: [3], next: undefined };
	});
	expect(all).toEqual([1, 2, 3]);
	expect(asked).toEqual([{ limit: 500 }, { limit: 500, cursor: "b" }]);
});

// A cursor that led back to a page kept the browser busy until it was closed.
it.each([
	["the same again", () => "p"],
	["in a circle", (n: number) => String(n % 3)],
	["ever new ones", String],
])("gives up pages that never end: %s", async (_, next) => {
	let asked = 0;
	await expect(
		pages(async () => {
			asked += 1;
			return { items: [], next: next(asked) };
		}),
	).rejects.toThrow("no end");
	expect(asked).toBeLessThanOrEqual(1001);
});
