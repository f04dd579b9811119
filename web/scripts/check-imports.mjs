// Shared code (ui, api) knows no feature, features do not know each other, and
// only the app knows all of them. Paths are written #folder/file or ./file, so
// that this check sees where each one leads.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const allowed = {
	api: ["api"],
	ui: ["ui"],
	features: ["api", "ui"],
	app: ["api", "ui", "features", "app"],
};

/** "ui", "api", "app" or "features/NAME". */
function layer(file) {
	const [first, second] = file.split("/");
	return first === "features" ? `features/${second}` : first;
}

const wrong = [];
let seen = 0;
for (const file of readdirSync("src", { recursive: true })) {
	if (!/\.tsx?$/.test(file)) continue;
	const from = layer(file);
	const text = readFileSync(path.join("src", file), "utf8");
	for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*"([#.][^"]*)"/g)) {
		seen++;
		const to = layer(target.startsWith("#") ? target.slice(1) : path.join(path.dirname(file), target));
		const may = to === from || allowed[from.split("/")[0]]?.includes(to.split("/")[0]);
		if (!may) wrong.push(`src/${file} imports ${target}: ${from} may not know ${to}`);
	}
}
if (seen === 0) wrong.push("no import was found: this checked nothing");
if (wrong.length > 0) {
	console.error(wrong.join("\n"));
	process.exitCode = 1;
}
