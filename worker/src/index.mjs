// Leger on Cloudflare Workers: the API is Go, the pages are static assets.

import { scheduled, serve } from "./serve.mjs";

export default {
	fetch(request, env, ctx) {
		const { pathname } = new URL(request.url);
		if (!isAPI(pathname)) return page(request, env, pathname);
		const response = serve(request, env);
		// A client that goes away does not leave a write half-way.
		ctx.waitUntil(response);
		return response;
	},

	scheduled(_event, env, ctx) {
		ctx.waitUntil(scheduled(env));
	},
};

function isAPI(path) {
	return path === "/health" || path === "/ready" || path === "/api" || path.startsWith("/api/");
}

/** What is no asset: a file of an older build, or a route of the web app. */
function page(request, env, path) {
	if (path.startsWith("/assets/")) {
		return new Response("there is no such file in this version of Leger\n", {
			status: 404,
			headers: { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" },
		});
	}
	return env.ASSETS.fetch(new Request(new URL("/", request.url), request));
}
