/** One NAME=value of a file. */
export interface Entry {
	name: string;
	value: string;
	/** Where it begins, from 1. */
	line: number;
}

interface Parsed {
	/** In order; of a name that is given twice, the last. */
	entries: Entry[];
	/** Lines that are no assignment, without their text: it may be part of a value. */
	problems: { line: number; message: string }[];
}

const assignment = /^[ \t]*(?:export[ \t]+)?([^\s=#'"]+)[ \t]*=[ \t]*/;

/**
 * Reads a .env file as Docker and dotenv do: blank lines and lines that begin
 * with '#' are skipped, "export " is allowed, 'single quotes' keep their content
 * as it is, "double quotes" know \n, \r, \t, \" and \\, both may span lines, and
 * without quotes a value ends at the line's end or at " #". Nothing is expanded.
 */
export function parseDotenv(text: string): Parsed {
	const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
	const entries = new Map<string, Entry>();
	const problems: Parsed["problems"] = [];
	for (let at = 0; at < lines.length; at++) {
		const line = lines[at] ?? "";
		if (/^\s*(#|$)/.test(line)) continue;
		const match = assignment.exec(line);
		if (match?.[1] === undefined) {
			problems.push({ line: at + 1, message: "is not of the form NAME=value" });
			continue;
		}
		const rest = line.slice(match[0].length);
		const quote = rest.charAt(0);
		let value: string;
		const start = at;
		if (quote === '"' || quote === "'") {
			const quoted = readQuoted([rest, ...lines.slice(at + 1)], quote);
			if (quoted === undefined) {
				problems.push({ line: at + 1, message: `has a ${quote} that is not closed` });
				continue;
			}
			value = quoted.value;
			at += quoted.extraLines;
		} else {
			value = rest.replace(/(^|\s+)#.*$/, "").trimEnd();
		}
		entries.delete(match[1]);
		entries.set(match[1], { name: match[1], value, line: start + 1 });
	}
	return { entries: [...entries.values()], problems };
}

const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\", $: "$" };

/** Reads from an opening quote to its closing one, perhaps lines below. */
function readQuoted(lines: string[], quote: string): { value: string; extraLines: number } | undefined {
	let value = "";
	for (const [extraLines, line] of lines.entries()) {
		for (let i = extraLines === 0 ? 1 : 0; i < line.length; i++) {
			const char = line.charAt(i);
			if (char === quote) return { value, extraLines };
			const escaped = quote === '"' && char === "\\" ? escapes[line.charAt(i + 1)] : undefined;
			if (escaped !== undefined) i++;
			value += escaped ?? char;
		}
		value += "\n";
	}
	return undefined;
}
