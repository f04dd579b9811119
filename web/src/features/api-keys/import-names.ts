import type { Entry } from "./dotenv.ts";

/**
 * The names under which the entries of a .env file are saved. Names that become
 * one in lower case are one secret; the last counts, as in the file itself.
 */
export function importNames(entries: readonly Entry[], lowerCase: boolean): Entry[] {
	if (!lowerCase) return [...entries];
	const named = new Map<string, Entry>();
	for (const entry of entries) {
		const name = entry.name.toLowerCase();
		named.delete(name);
		named.set(name, { ...entry, name });
	}
	return [...named.values()];
}
