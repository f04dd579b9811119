// A Worker that runs operations for the tests of internal/cloudflare, which are
// native programs: POST {database, operation} gives cells, or 500 with the error.
// Each test has a database and namespaces of its own, by their number. With meter, the
// header Rows has how many rows D1 says that it read and wrote, which is what it bills.

import { run } from "../src/bindings.mjs";

export default {
	async fetch(request, env) {
		if (request.method === "GET") return Response.json({ status: "healthy" });
		const { number, operation, meter } = await request.json();
		const rows = [0, 0];
		const own = {
			LEGER_DB: meter ? metered(env[`DB_${number}`], rows) : env[`DB_${number}`],
			LEGER_USERS: env[`USERS_${number}`],
			LEGER_SECRETS: env[`SECRETS_${number}`],
			LEGER_STATIC: env.LEGER_STATIC,
			ASSETS: env.LEGER_STATIC === undefined ? undefined : { fetch() {} },
		};
		try {
			const answer = (await run(own, operation)) ?? null;
			return new Response(answer, { headers: { Rows: rows.join(" ") } });
		} catch (error) {
			return new Response(String(error?.message ?? error), { status: 500 });
		}
	},
};

/** A database that adds the rows that its statements read and write to rows. */
function metered(db, rows) {
	const add = ({ meta }) => {
		rows[0] += meta.rows_read;
		rows[1] += meta.rows_written;
	};
	const raw = (statement) => async () => {
		add(await statement.all()); // raw tells no numbers
		return statement.raw();
	};
	return {
		prepare: (sql) => ({
			bind(...args) {
				const statement = db.prepare(sql).bind(...args);
				return { statement, raw: raw(statement) };
			},
		}),
		async batch(list) {
			const results = await db.batch(list.map(({ statement }) => statement));
			for (const result of results) add(result);
			return results;
		},
	};
}
