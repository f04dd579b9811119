// Leger on Cloudflare Workers: the API is Go, the pages are static assets.

import pageHeaders from "../build/headers.json";
import { scheduled, serve } from "./serve.mjs";

export default {
	fetch(request, env, ctx) {
		const { pathname } = new URL(request.url);
		if (!isAPI(pathname)) return page(request, env, pathname);
		const response = serve(request, env, ctx);
		// A client that goes away does not leave a write half-way.
		ctx.waitUntil(response);
		return response;
	},

	scheduled(_event, env, ctx) {
		ctx.waitUntil(scheduled(env, ctx));
	},
};

function isAPI(path) {
	return path === "/health" || path === "/ready" || path === "/api" || path.startsWith("/api/");
}

/** What is no file: one of an older build, or a route of the web app. */
function page(request, env, path) {
	if (request.method !== "GET" && request.method !== "HEAD") {
		return refusal(405, "this page takes GET only\n", { Allow: "GET, HEAD" });
	}
	if (path.startsWith("/assets/")) {
		return refusal(404, "there is no such file in this version of Leger\n", { "Cache-Control": "no-store" });
	}
	return env.ASSETS.fetch(new Request(new URL("/", request.url), request));
}

function refusal(status, text, headers) {
	return new Response(text, {
		status,
		headers: { ...pageHeaders, "Content-Type": "text/plain; charset=utf-8", ...headers },
	});
}
