import { expect, it } from "vitest";
import cases from "#ui/rules.cases.json";
import { displayNameProblem } from "./display-name.ts";

it("takes and refuses what the server does", () => {
	const { good, bad } = cases.display_name;
	expect(good.filter((name) => displayNameProblem(name) !== undefined)).toEqual([]);
	expect(bad.filter((name) => displayNameProblem(name) === undefined)).toEqual([]);
});
