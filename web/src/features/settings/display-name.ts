import { isPrintable } from "#ui/printable.ts";

/** The server's rule (leger.ParseDisplayName); undefined is nothing wrong. */
export function displayNameProblem(name: string): string | undefined {
	const trimmed = name.trim();
	const length = [...trimmed].length;
	if (length === 0) return "Type a name.";
	if (length > 32) return `A display name has at most 32 characters; this one has ${length}.`;
	if (!isPrintable(trimmed)) return "There is a character in it that cannot be seen.";
	return undefined;
}
