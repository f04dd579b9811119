// The operations that Go asks of the platform: internal/cloudflare/bindings.go
// names them. Each takes the operation and gives cells, or undefined for no
// answer, or throws.

import { Cells } from "./cells.mjs";

// The platform lets six connections of a request be open at once; more would wait
// there, each with its value in memory.
const ATONCE = 6;

/** Runs one operation with the bindings of env. */
export async function run(env, op) {
	const operation = operations[op.kind];
	if (operation === undefined) throw new Error(`there is no operation ${op.kind}`);
	return (await operation(env, op))?.bytes();
}

const operations = {
	"d1.read": async (env, op) => {
		const [query] = op.statements;
		const rows = await env[op.binding].prepare(query.sql).bind(...query.args).raw();
		const out = new Cells();
		out.put(rows.length === 0 ? 0 : rows[0].length);
		for (const row of rows) for (const value of row) out.put(value);
		return out;
	},

	"d1.write": async (env, op) => {
		const db = env[op.binding];
		const results = await db.batch(op.statements.map((query) => db.prepare(query.sql).bind(...query.args)));
		const out = new Cells();
		results.forEach((result, i) => {
			const rows = op.statements[i].rows ? result.results.map(Object.values) : [];
			out.put(result.meta.changes);
			out.put(rows.length === 0 ? 0 : rows[0].length);
			out.put(rows.length);
			for (const row of rows) for (const value of row) out.put(value);
		});
		return out;
	},

	"kv.get": async (env, op) => {
		const found = await env[op.binding].getWithMetadata(op.keys);
		const out = new Cells();
		for (const key of op.keys) {
			const record = found.get(key) ?? null;
			out.put(record === null ? null : record.value);
			out.put(record === null || record.metadata === null ? null : JSON.stringify(record.metadata));
		}
		return out;
	},

	"kv.put": async (env, op) => {
		await each(op.entries, ({ key, value, metadata }) => env[op.binding].put(key, JSON.stringify(value), { metadata }));
	},

	"kv.delete": async (env, op) => {
		await each(op.keys, (key) => env[op.binding].delete(key));
	},

	"kv.list": async (env, op) => {
		const out = new Cells();
		for (let cursor; ; ) {
			const page = await env[op.binding].list({ prefix: op.key, cursor });
			for (const { name } of page.keys) out.put(name);
			if (page.list_complete) return out;
			cursor = page.cursor;
		}
	},

	limit: async (env, op) => {
		const out = new Cells();
		const limiter = env[op.binding];
		out.put(limiter === undefined ? null : (await limiter.limit({ key: op.key })).success);
		return out;
	},

	probe: async (env, op) => {
		const out = new Cells();
		for (const { binding, type } of op.probe) out.put(await probe(env[binding], types[type], op.deep));
		return out;
	},
};

// How a binding of each type is told, and what to ask to see that it answers.
const types = {
	d1: { name: "a D1 database", method: "prepare" },
	kv: { name: "a KV namespace", method: "getWithMetadata", ask: (kv) => kv.get("ready") },
	r2: { name: "an R2 bucket", method: "head", ask: (bucket) => bucket.head("ready") },
	fetcher: { name: "the assets", method: "fetch" },
};

async function probe(binding, type, deep) {
	if (binding === undefined || binding === null) return `is missing: it should be ${type.name}`;
	if (typeof binding[type.method] !== "function") return `is not ${type.name}`;
	try {
		if (deep) await type.ask?.(binding);
		return "ok";
	} catch (error) {
		console.error(JSON.stringify({ level: "ERROR", msg: "a binding does not answer", error: String(error) }));
		return "does not answer";
	}
}

/** Does something with each of a list, a few at a time; all are tried. */
async function each(list, act) {
	const rest = list.values();
	const failures = [];
	const worker = async () => {
		for (const item of rest) {
			try {
				await act(item);
			} catch (error) {
				failures.push(error);
			}
		}
	};
	await Promise.all(Array.from({ length: Math.min(ATONCE, list.length) }, worker));
	if (failures.length > 0) throw failures[0];
}
