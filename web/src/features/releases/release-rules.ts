import { isPrintable } from "#ui/printable.ts";

/**
 * The server's rules for releases, told while one types. The server has the last
 * word; src/ui/rules.cases.json holds both to the same answers (web/rules_test.go).
 * Each gives what is wrong, or undefined.
 */
export function releaseNameProblem(name: string): string | undefined {
	if (name === "") return "Give the release a name.";
	if (name.length > 63) return `A name has at most 63 characters; this one has ${name.length}.`;
	if (!/^[A-Za-z0-9]/.test(name)) return "A name starts with a letter or a digit.";
	if (!/^[A-Za-z0-9._-]+$/.test(name)) return "A name takes letters, digits, '.', '_' and '-' only.";
	return undefined;
}

const scpLike =
	/^[A-Za-z0-9_][A-Za-z0-9._-]*@([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([^/\s-]|\/[^/\s])\S*$/;
const parts =
	/^(https|ssh|http):\/\/(?:([^/?#]*)@)?(\[[0-9A-Fa-f:.]+\]|[^/?#:@[\]]+)(?::([0-9]+))?(\/[^?#]*)?([?#].*)?$/;
const local = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\]|.+\.ts\.net)\.?$/i;

export function gitUrlProblem(url: string): string | undefined {
	if (url === "") return "Give the address of the repository.";
	if (new TextEncoder().encode(url).length > 2048) return "The address is longer than 2,048 bytes.";
	if (url.startsWith("-")) return "The address starts with '-', which git takes for an option.";
	if (/[\s\\"'`<>|^{}$;&]/.test(url) || !isPrintable(url))
		return "There is a space or a character in it that no Git address has.";
	if (!url.includes("://")) {
		return scpLike.test(url) ? undefined : "Use https://host/path, ssh://host/path or user@host:path.";
	}
	if (!/^(https?|ssh):\/\//.test(url)) return "Use https:// or ssh://.";
	const [, scheme, user, host, port, path = "", rest] = parts.exec(url) ?? [];
	if (host === undefined || host.startsWith("-")) return "The host cannot be read.";
	if (user !== undefined && (scheme !== "ssh" || user.includes(":") || user.startsWith("-"))) {
		return "Leave user and password out. A private repository needs a token: leger deploy install --git-token-secret NAME.";
	}
	if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))
		return "The port is not a number from 1 to 65535.";
	if (rest !== undefined) return "Leave out what follows '?' or '#'; branch and path have their own fields.";
	if (/^\/*$/.test(path)) return "It names no repository: it ends after the host.";
	if (scheme === "http" && !local.test(host))
		return "http:// is for this machine and *.ts.net only. Use https://.";
	return undefined;
}

export function gitBranchProblem(branch: string): string | undefined {
	if (branch === "") return undefined; // the server takes main
	if (new TextEncoder().encode(branch).length > 255) return "A branch has at most 255 bytes.";
	const bad =
		branch === "@" ||
		branch === "HEAD" ||
		branch.startsWith("-") ||
		branch.endsWith(".") ||
		branch.includes("..") ||
		branch.includes("@{") ||
		/[ ~^:?*[\\]/.test(branch) ||
		!isPrintable(branch) ||
		branch.split("/").some((part) => part === "" || part.startsWith(".") || part.endsWith(".lock"));
	return bad ? "Git has no branch or tag of such a name." : undefined;
}

export function gitPathProblem(path: string): string | undefined {
	if (path === "" || path === "." || path === "./") return undefined; // its root
	const trimmed = path.replace(/\/$/, "");
	if (new TextEncoder().encode(trimmed).length > 512) return "A path has at most 512 bytes.";
	if (trimmed === "" || trimmed.startsWith("/"))
		return "The path is relative to the repository: leave out the first '/'.";
	const bad =
		trimmed.startsWith("-") ||
		trimmed.includes("\\") ||
		!isPrintable(trimmed) ||
		trimmed
			.split("/")
			.some((part) => part === "" || part === "." || part === ".." || part.toLowerCase() === ".git");
	return bad ? "A path takes plain directory names, without '..', '.' and '.git'." : undefined;
}

export function descriptionProblem(text: string): string | undefined {
	const length = [...text].length;
	if (length > 500) return `A description has at most 500 characters; this one has ${length}.`;
	if (!isPrintable(text.replace(/\r?\n|\t/g, ""))) return "There is a character in it that cannot be seen.";
	return undefined;
}
