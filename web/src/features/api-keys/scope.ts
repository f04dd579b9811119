import type { Machine, Scope } from "#api/queries.ts";

/** The scope of a secret that is given to every machine. */
export const allMachines: Scope = { all: true };

/** Whether the secret is given to the machine; a machine without a key of its own is given everything. */
export function isGiven(scope: Scope | undefined, machine: Machine | undefined): boolean {
	if (scope === undefined || scope.all || machine === undefined) return true;
	return (
		(scope.machines ?? []).includes(machine.id) ||
		(scope.groups ?? []).some((group) => machine.groups.includes(group))
	);
}

/** In words where the secret goes: "nas, group db". */
export function describeScope(scope: Scope | undefined, machines: readonly Machine[]): string {
	if (scope === undefined || scope.all) return "all machines";
	const named = (scope.machines ?? []).flatMap(
		(id) => machines.find((machine) => machine.id === id)?.name ?? [],
	);
	const words = [...named, ...(scope.groups ?? []).map((group) => `group ${group}`)];
	return words.length === 0 ? "no machine" : words.join(", ");
}

/** Every group that a machine is in or that the scope names, in order. */
export function knownGroups(scope: Scope, machines: readonly Machine[]): string[] {
	const groups = new Set([...(scope.groups ?? []), ...machines.flatMap((machine) => machine.groups)]);
	return [...groups].sort();
}
