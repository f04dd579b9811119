import type { ProviderField } from "./providers.ts";

/** As the server has it: leger.ParseSecretName. */
const namePattern = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/;

const maxValue = 64 * 1024; // bytes

/** What is wrong with a secret's name; undefined is nothing. */
export function nameProblem(name: string): string | undefined {
	if (name === "") return "Give the secret a name.";
	if (name.length > 128) return `A name has at most 128 characters; this one has ${name.length}.`;
	if (name.startsWith("-")) return "A name does not start with '-'.";
	if (!namePattern.test(name)) return "A name takes letters, digits, '_' and '-' only.";
	return undefined;
}

/** What is wrong with a value; undefined is nothing. */
export function valueProblem(value: string): string | undefined {
	if (value === "") return "Type the value.";
	const bytes = new TextEncoder().encode(value).length;
	if (bytes > maxValue)
		return `A value has at most 65,536 bytes (64 KiB); this one has ${bytes.toLocaleString("en")}.`;
	if (!value.isWellFormed())
		return "The value has half a character in it: it was cut off when it was copied.";
	return undefined;
}

/** What looks like a slip of the hand. Never a reason to refuse. */
export function valueWarning(value: string, field?: ProviderField): string | undefined {
	if (value === "") return undefined;
	// Enter at the end of a key is kept, and the service it is for refuses the key.
	if (value.endsWith("\n")) {
		return "The value ends with a newline. To drop it, delete the empty line at its end; saved as it is, the newline is kept.";
	}
	if (value !== value.trim()) {
		return "There is white space at the beginning or the end. It is kept; most likely it should not be there.";
	}
	if (field?.shape && !field.shape.test(value)) {
		return `This does not look like the usual ${field.label} (${field.placeholder}). It is saved as it is.`;
	}
	return undefined;
}
