// A Worker that runs operations for the tests of internal/cloudflare, which are
// native programs: POST {database, operation} gives cells, or 500 with the error.
// Each test has a database and namespaces of its own, by their number.

import { run } from "../src/bindings.mjs";

export default {
	async fetch(request, env) {
		if (request.method === "GET") return Response.json({ status: "healthy" });
		const { number, operation } = await request.json();
		const own = {
			LEGER_DB: env[`DB_${number}`],
			LEGER_USERS: env[`USERS_${number}`],
			LEGER_SECRETS: env[`SECRETS_${number}`],
			LEGER_STATIC: env.LEGER_STATIC,
			ASSETS: env.LEGER_STATIC === undefined ? undefined : { fetch() {} },
		};
		try {
			return new Response((await run(own, operation)) ?? null);
		} catch (error) {
			return new Response(String(error?.message ?? error), { status: 500 });
		}
	},
};
