import { describe, expect, it } from "vitest";
import cases from "#ui/rules.cases.json";
import {
	descriptionProblem,
	gitBranchProblem,
	gitPathProblem,
	gitUrlProblem,
	releaseNameProblem,
} from "./release-rules.ts";

// The page said that the machine's own Git credentials are used, which they are not
// unless the machine's settings say so: whoever believed it could not install.
it("says what a private repository needs", () => {
	expect(gitUrlProblem("https://user:pw@host/a")).toContain("--git-token-secret NAME");
});

describe.each([
	["name", releaseNameProblem, cases.name],
	["git_url", gitUrlProblem, cases.git_url],
	["git_branch", gitBranchProblem, cases.git_branch],
	["git_path", gitPathProblem, cases.git_path],
	["description", descriptionProblem, cases.description],
] as const)("%s", (_, problem, { good, bad }) => {
	it("takes what the server takes", () => {
		expect(good.filter((text) => problem(text) !== undefined)).toEqual([]);
	});
	it("refuses what the server refuses, in a sentence", () => {
		expect(bad.filter((text) => !problem(text)?.endsWith("."))).toEqual([]);
	});
});
