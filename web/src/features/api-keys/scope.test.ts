import { expect, test } from "vitest";
import type { Machine } from "#api/queries.ts";
import { describeScope, isGiven, knownGroups } from "./scope.ts";

const machine = (id: string, name: string, ...groups: string[]) =>
	({ id, name, groups }) as unknown as Machine;
const nas = machine("1", "nas", "home");
const web = machine("2", "web", "db", "web");

test("a secret goes where its scope says", () => {
	expect(isGiven(undefined, nas)).toBe(true);
	expect(isGiven({ all: true }, nas)).toBe(true);
	expect(isGiven({ machines: [], groups: [] }, nas)).toBe(false);
	expect(isGiven({ machines: ["1"], groups: [] }, nas)).toBe(true);
	expect(isGiven({ machines: ["2"], groups: ["home"] }, nas)).toBe(true);
	expect(isGiven({ machines: ["2"], groups: ["hom"] }, nas)).toBe(false);
	// It signs in with the shared secret: the server cannot tell it from any other.
	expect(isGiven({ machines: [], groups: [] }, undefined)).toBe(true);
});

test("a scope in words", () => {
	expect(describeScope(undefined, [nas])).toBe("all machines");
	expect(describeScope({ machines: ["2", "1"], groups: ["db"] }, [nas, web])).toBe("web, nas, group db");
	expect(describeScope({ machines: ["gone"], groups: [] }, [nas])).toBe("no machine");
});

test("the groups to choose from", () => {
	expect(knownGroups({ groups: ["later"] }, [nas, web])).toEqual(["db", "home", "later", "web"]);
});
