import { ApiError } from "./error.ts";

interface Page<T> {
	items: T[];
	next: string | undefined;
}

/**
 * Asks for one page after the other and gives all their items. A server that names a
 * page again would be asked for ever: that is an ApiError.
 */
export async function pages<T>(
	ask: (query: { limit: number; cursor?: string }) => Promise<Page<T>>,
): Promise<T[]> {
	const all: T[] = [];
	const seen = new Set<string>();
	let cursor: string | undefined;
	do {
		const page = await ask(cursor === undefined ? { limit: 500 } : { limit: 500, cursor });
		all.push(...page.items);
		cursor = page.next;
		if (cursor !== undefined && (seen.has(cursor) || seen.size >= 1000)) {
			throw new ApiError("unreadable", "the server's list has no end: its pages lead back to each other");
		}
		if (cursor !== undefined) seen.add(cursor);
	} while (cursor !== undefined);
	return all;
}
