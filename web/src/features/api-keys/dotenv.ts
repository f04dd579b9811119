/** One NAME=value of a file. */
export interface Entry {
	name: string;
	value: string;
	/** Where it begins, from 1. */
	line: number;
}

/** What is not read: its line, from 1, and why. Never its text, which may be part of a value. */
export interface Problem {
	line: number;
	message: string;
}

interface Parsed {
	/** In order; of a name that is given twice, the last. */
	entries: Entry[];
	/** In order of their lines. Nothing of the values that they are about is in entries. */
	problems: Problem[];
}

/** What begins at a line: an entry, or why there is none, and the line to go on with, from 0. */
interface Statement {
	/** Whose value it is, also where that cannot be read. */
	name?: string;
	/** It is no assignment: it may belong to the line above. */
	loose?: boolean;
	value?: string;
	problem?: string;
	next: number;
}

const assignment = /^[ \t]*(?:export[ \t]+)?([A-Za-z0-9_.-]+)[ \t]*=[ \t]*/;
/** What one of docker compose and dotenv would take for an assignment. */
const nearly = /^\s*(?:export\s+)?([A-Za-z0-9_.-]+)\s*[=:]/;
const afterQuote = /^[ \t]*(#.*)?$/;
const loneReturn =
	"has a carriage return that ends no line, which docker compose and dotenv read differently: nothing was read";
const quoteIt = "put the whole value in single quotes";

/**
 * Reads a .env file so that each value is whole or not there at all. It follows
 * docker compose and dotenv where they agree: blank lines and lines that begin with
 * '#' are skipped, "export " is allowed, quoted values may span lines, "\n" and "\r"
 * in double quotes are line ends, and without quotes a value ends at the line's end
 * or at " #". What the two read differently, and what looks like a piece of a value,
 * is a problem: saved from here, it would be cut off and nobody would notice.
 * dotenv.cases.json holds the cases, with what both say.
 */
export function parseDotenv(text: string): Parsed {
	const lines = text.replace(/^\uFEFF/, "").split("\n");
	const lone = lines.findIndex((line) => /\r./.test(line));
	if (lone >= 0) return { entries: [], problems: [{ line: lone + 1, message: loneReturn }] };
	const entries = new Map<string, Entry>();
	const problems: Problem[] = [];
	/** The entry without quotes that ends right above, if there is one: it may go on. */
	let above: Entry | undefined;
	for (let at = 0; at < lines.length; ) {
		const blank = /^[ \t\r]*(#|$)/.exec(lines[at] ?? "");
		if (blank !== null) {
			// dotenv looks for the value of an empty one below blank lines, too.
			if (blank[1] === "#" || above?.value !== "") above = undefined;
			at++;
			continue;
		}
		const { name, loose, value, problem, next } = readStatement(lines, at);
		if (name !== undefined) entries.delete(name); // the last one counts, even when it cannot be read
		if (loose && above !== undefined) {
			entries.delete(above.name);
			const goesOn = `may go on in the next line, which is not NAME=value: ${quoteIt}`;
			problems.push({ line: above.line, message: goesOn });
		}
		above = undefined;
		if (problem !== undefined) problems.push({ line: at + 1, message: problem });
		else if (name !== undefined && value !== undefined) {
			const entry = { name, value, line: at + 1 };
			entries.set(name, entry);
			if (!/=[ \t]*['"]/.test(lines[at] ?? "")) above = entry;
		}
		at = next;
	}
	return { entries: [...entries.values()], problems };
}

function readStatement(lines: readonly string[], at: number): Statement {
	const line = (lines[at] ?? "").replace(/\r$/, "");
	const next = at + 1;
	const match = assignment.exec(line);
	const name = match?.[1];
	if (match === null || name === undefined || /^[ \t]*export[ \t]+=/.test(line)) {
		const named = nearly.exec(line)?.[1];
		return {
			problem: "is not of the form NAME=value",
			loose: true,
			next,
			...(named !== undefined && { name: named }),
		};
	}
	const rest = line.slice(match[0].length);
	if (isEndOfBase64(name, rest)) {
		return {
			name,
			problem: `looks like the end of a value that begins above: ${quoteIt}`,
			loose: true,
			next,
		};
	}
	const quote = rest.charAt(0);
	const read =
		quote === '"' || quote === "'"
			? readQuoted(lines, at, match[0].length, quote)
			: { ...readUnquoted(rest), next: afterUnquoted(lines, at, rest) };
	if (read.problem === undefined && read.value?.includes("\uFFFD")) {
		return {
			name,
			problem: "holds \uFFFD in the place of a character that was lost: save the file as UTF-8",
			next: read.next,
		};
	}
	return { name, ...read };
}

/** The padding of base64 makes the last line of a wrapped value look like NAME=. */
function isEndOfBase64(name: string, rest: string): boolean {
	if (rest.trimEnd() === "=") return /^[A-Za-z0-9]+$/.test(name);
	const mixed = /[a-z]/.test(name) && /[A-Z]/.test(name) && /\d/.test(name);
	return rest === "" && name.length >= 20 && /^[A-Za-z0-9]+$/.test(name) && mixed;
}

function readUnquoted(rest: string): { value?: string; problem?: string } {
	const hash = rest.indexOf("#");
	const value = (hash < 0 ? rest : rest.slice(0, hash)).replace(/[ \t]+$/, "");
	if (rest.startsWith("`"))
		return { problem: `is in backticks, which docker compose takes as part of the value: ${quoteIt}` };
	if (rest.startsWith("-----BEGIN "))
		return { problem: `begins a key or certificate without quotes: ${quoteIt}` };
	if (value.includes("$"))
		return { problem: `has a $, which docker compose replaces and dotenv keeps: ${quoteIt}` };
	if (hash === 0 || (hash > 0 && rest.charAt(hash - 1) !== " ")) {
		return {
			problem: `has a # that docker compose takes as part of the value and dotenv as a comment: ${quoteIt}`,
		};
	}
	if (/^[\s\u0085\uFEFF]|[\s\u0085\uFEFF]$/.test(value)) {
		return { problem: `begins or ends with an invisible character: ${quoteIt}, or delete it` };
	}
	return { value };
}

/** Where to go on after a value without quotes; what is refused may have further lines. */
function afterUnquoted(lines: readonly string[], at: number, rest: string): number {
	let end: ((line: string) => boolean) | undefined;
	if (rest.startsWith("`") && !rest.includes("`", 1)) end = (line) => line.includes("`");
	if (rest.startsWith("-----BEGIN ") && !rest.includes("-----END "))
		end = (line) => line.includes("-----END ");
	if (end === undefined) return at + 1;
	const found = lines.slice(at + 1).findIndex(end);
	if (found >= 0) return at + 1 + found + 1;
	return rest.startsWith("`") ? at + 1 : lines.length;
}

/** Reads a value from its opening quote, in lines[at] at from, to the closing one, perhaps lines below. */
function readQuoted(
	lines: readonly string[],
	at: number,
	from: number,
	quote: string,
): { value?: string; problem?: string; next: number } {
	const text = [(lines[at] ?? "").slice(from), ...lines.slice(at + 1)].join("\n");
	const { value, end, problem } = unquote(text, quote);
	if (end < 0) {
		return {
			problem: `opens a ${quote} that nothing closes: nothing from here on was read`,
			next: lines.length,
		};
	}
	const inside = text.slice(0, end);
	const next = at + inside.split("\n").length;
	const behind = (text.slice(end + 1).split("\n", 1)[0] ?? "").replace(/\r$/, "");
	if (!afterQuote.test(behind)) return { problem: problemAfter(at, next), next };
	const last = inside.slice(inside.lastIndexOf("\n") + 1);
	if (next > at + 1 && /^[ \t]*(?:export[ \t]+)?[\w.-]+[ \t]*=[ \t]*$/.test(last)) {
		return { problem: `opens a ${quote} that only the quote of line ${next} closes: is one missing?`, next };
	}
	return problem === undefined ? { value, next } : { problem, next };
}

function problemAfter(at: number, next: number): string {
	const where = next > at + 1 ? ` in line ${next}: nothing of these lines was read;` : ":";
	return `has something after the closing quote${where} if it is part of the value, quote the whole value once`;
}

/**
 * The text between a quote at the beginning and its closing one, at end, or -1. A
 * problem is what docker compose and dotenv do not agree about.
 */
function unquote(text: string, quote: string): { value: string; end: number; problem?: string } {
	let value = "";
	let problem: string | undefined;
	for (let i = 1; i < text.length; i++) {
		const char = text.charAt(i);
		if (char === quote) return problem === undefined ? { value, end: i } : { value, end: i, problem };
		if (char === "\r") {
			problem ??=
				"has line ends of Windows within its quotes, which docker compose keeps and dotenv does not";
		}
		if (char === "$" && quote === '"') {
			problem ??= `has a $ in double quotes, which docker compose replaces and dotenv keeps: ${quoteIt}`;
		}
		if (char !== "\\") {
			value += char;
			continue;
		}
		const after = text.charAt(++i);
		if (quote === "'") {
			if (after === "'")
				problem ??= "has \\' in single quotes, which docker compose and dotenv read differently";
			value += `\\${after}`;
		} else if (after === "n" || after === "r") value += after === "n" ? "\n" : "\r";
		else {
			if (/["\\$abcftv0]/.test(after)) {
				problem ??= `has a \\ in double quotes that docker compose and dotenv read differently: ${quoteIt}`;
			}
			value += `\\${after}`;
		}
	}
	return { value, end: -1 };
}

/** Text of a file, or why it is none that could be read without loss. */
export function decodeText(bytes: ArrayBuffer): { text: string } | { problem: string } {
	const [first, second] = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
	if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
		return { problem: "is in UTF-16. Save it as UTF-8, then choose it again." };
	}
	let text: string;
	try {
		text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		return { problem: "is not in UTF-8; perhaps it is in Latin-1. Save it as UTF-8, then choose it again." };
	}
	if (text.includes("\0")) return { problem: "has NUL bytes: it is no text file, or one in UTF-16." };
	return { text };
}
