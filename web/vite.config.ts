import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import zlib from "node:zlib";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const server = process.env.LEGER_SERVER ?? "http://127.0.0.1:8787";

export default defineConfig({
	plugins: [react(), tailwindcss(), withoutRuntimeStyles(), compressed()],
	build: {
		target: ["chrome123", "firefox120", "safari17.5"], // light-dark() in style sheets
		assetsInlineLimit: 0, // the policy allows no data: addresses
		modulePreload: { polyfill: false },
		reportCompressedSize: false,
	},
	server: { proxy: { "/api": server, "/health": server } },
	test: { include: ["src/**/*.test.ts"] },
});

/**
 * sonner writes its styles into a <style> element when it is loaded, which the
 * content security policy forbids. They are in app.css instead; this empties the
 * function that writes them, and fails the build when it cannot be found.
 */
function withoutRuntimeStyles(): Plugin {
	const start = "function __insertCSS(code) {";
	return {
		name: "leger:without-runtime-styles",
		apply: "build",
		transform(code, id) {
			if (!id.includes("/node_modules/sonner/dist/index")) return;
			if (!code.includes(start))
				throw new Error("sonner no longer writes its styles where they were cut out");
			return { code: code.replace(start, `${start} return;`), map: null };
		},
	};
}

/** Writes FILE.br and FILE.gz beside every text file of the build, and keeps dist/.gitkeep. */
function compressed(): Plugin {
	const brotli = promisify(zlib.brotliCompress);
	const gzip = promisify(zlib.gzip);
	let dist = "";
	return {
		name: "leger:compressed",
		apply: "build",
		configResolved(config) {
			dist = path.resolve(config.root, config.build.outDir);
		},
		async closeBundle() {
			await mkdir(dist, { recursive: true });
			await writeFile(path.join(dist, ".gitkeep"), "");
			for (const name of await readdir(dist, { recursive: true })) {
				if (!/\.(html|js|css|svg)$/.test(name)) continue;
				const file = path.join(dist, name);
				const body = await readFile(file);
				const best = { params: { [zlib.constants.BROTLI_PARAM_SIZE_HINT]: body.length } };
				await writeFile(`${file}.br`, await brotli(body, best));
				await writeFile(`${file}.gz`, await gzip(body, { level: 9 }));
			}
		},
	};
}
