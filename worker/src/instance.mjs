// One Go program, shared by all requests of an isolate, and the loop with which
// each request serves itself.
//
// The rules, all of them learned from a failure in workerd: what Go asks of a
// binding is queued for the request that it asked for, and that request's own loop
// runs it, because a promise that is resolved by another request kills or corrupts
// both. Whichever request is awake fires Go's timers, because those of a request
// that has ended never fire. A request that waits always holds a timer of its own,
// or workerd calls it hung.

import "../build/wasm_exec.js";
import program from "../build/leger.wasm";
import { run } from "./bindings.mjs";

// While a request has nothing under way it looks this often whether others'
// running Go has left it something, in milliseconds; else what is under way wakes it.
const LOOK = 4;
const WAIT = 1000;
// A body is big from this size on, in bytes, and so many of them are in Go at once.
const BIG = 64 << 10;
const MANY = 3;
// A request that is not done after this long never will be.
const LIMIT = 60_000;

const SETTINGS = ["APP_VERSION", "ENCRYPTION_KEY", "ENCRYPTION_KEY_PREVIOUS", "JWT_SECRET", "PUBLIC_URL", "LEGER_RATE_LIMIT"];

let current;

/** Gives the isolate's instance, a new one if there is none or it ended. */
export function instance(env) {
	if (current === undefined || current.dead) current = new Instance(env);
	return current;
}

/** A copy that is not written is mended by the next read: internal/cloudflare/store.go. */
function logLater({ kind, binding }, error) {
	console.warn(JSON.stringify({ level: "WARN", msg: "a copy was not changed", kind, binding, error: String(error).slice(0, 300) }));
}

/** What a request gives when the instance ended under it. */
export class Ended extends Error {}

class Instance {
	dead = false;
	#go = new globalThis.Go();
	#calls = new Map();
	#lastCall = 0;
	#timers = new Map();
	#lastTimer = 0;
	#memory;
	#big = 0;
	#handle;
	#schedule;
	#settled;

	constructor(env) {
		this.#keepTimers();
		this.#go.exit = (code) => {
			this.dead = true;
			console.error(JSON.stringify({ level: "ERROR", msg: "the program ended", code }));
		};
		globalThis.__leger = this.#host(env);
		// Synchronous, so that no request waits for a promise of another's.
		const wasm = new WebAssembly.Instance(program, this.#go.importObject);
		this.#memory = wasm.exports.mem;
		this.#enter(() => void this.#go.run(wasm));
		if (this.#handle === undefined) this.dead = true;
	}

	/** Serves a request: its head, and its body or null. Gives {status, headers, body}. */
	async serve(env, ctx, head, body) {
		return this.#call(env, ctx, (id) => this.#handle(id, JSON.stringify(head), body));
	}

	/** Does what is due. */
	async scheduled(env, ctx) {
		return this.#call(env, ctx, (id) => this.#schedule(id));
	}

	/**
	 * Waits until few big bodies are in Go: each is there several times while it is
	 * taken apart, and memory that a program was once given is never given back.
	 */
	async admit(body) {
		if (body === null || body.length < BIG) return () => {};
		while (this.#big >= MANY) await new Promise((resolve) => setTimeout(resolve, LOOK));
		this.#big++;
		return () => void this.#big--;
	}

	async #call(env, ctx, begin) {
		const id = ++this.#lastCall;
		const call = { posted: [], settled: [], underWay: new Map(), answer: undefined };
		this.#calls.set(id, call);
		try {
			this.#enter(() => begin(id));
			const deadline = Date.now() + LIMIT;
			while (call.answer === undefined) {
				if (this.dead) throw new Ended("the program ended");
				if (Date.now() > deadline) throw new Ended("the request took too long");
				this.#begin(env, ctx, call);
				if (call.settled.length === 0) await this.#wait(call);
				this.#fire();
				for (let done; (done = call.settled.shift()) !== undefined; ) this.#enter(() => this.#settled(...done));
			}
			this.#begin(env, ctx, call);
			return call.answer;
		} finally {
			this.#calls.delete(id);
		}
	}

	/** Begins the operations that were posted for the call. */
	#begin(env, ctx, call) {
		for (let op; (op = call.posted.shift()) !== undefined; ) {
			const { id } = op;
			const operation = JSON.parse(op.text);
			if (operation.later) {
				ctx.waitUntil(run(env, operation).catch((error) => logLater(operation, error)));
				call.settled.push([id, null, null]);
				continue;
			}
			const end = (error, cells) => {
				call.underWay.delete(id);
				call.settled.push([id, error, cells]);
			};
			call.underWay.set(
				id,
				run(env, operation).then(
					(cells) => end(null, cells ?? null),
					(error) => end(String(error?.message ?? error).slice(0, 300), null),
				),
			);
		}
	}

	/** Waits until something of the call has ended, or it is time to look around. */
	async #wait(call) {
		if (call.answer !== undefined) return;
		let timer;
		const look = new Promise((resolve) => {
			timer = setTimeout(resolve, call.underWay.size === 0 ? LOOK : WAIT);
		});
		await Promise.race([look, ...call.underWay.values()]);
		clearTimeout(timer);
	}

	/** Lets Go run its timers, if one is due. */
	#fire() {
		const now = performance.now();
		for (const due of this.#timers.values()) {
			if (due <= now) {
				this.#enter(() => this.#go._resume());
				return;
			}
		}
	}

	/** Runs Go. A trap is its end: what it holds then is nobody's guess. */
	#enter(act) {
		if (this.dead) throw new Ended("the program ended");
		try {
			act();
		} catch (error) {
			this.dead = true;
			console.error(JSON.stringify({ level: "ERROR", msg: "the program was trapped", error: String(error) }));
			throw new Ended("the program was trapped");
		}
	}

	/** What Go calls. Nothing here may wait or resolve a promise. */
	#host(env) {
		const settings = {};
		for (const name of SETTINGS) if (typeof env[name] === "string") settings[name] = env[name];
		return {
			settings: JSON.stringify(settings),
			log: (line) => console.log(line),
			memory: () => this.#memory.buffer.byteLength,
			started: (handle, schedule, settled) => {
				this.#handle = handle;
				this.#schedule = schedule;
				this.#settled = settled;
			},
			// A request that is gone, as one that took too long, has no more use for either.
			post: (call, id, text) => this.#calls.get(call)?.posted.push({ id, text }),
			respond: (call, status, headers, body) => {
				const of = this.#calls.get(call);
				if (of !== undefined) of.answer = { status, headers: JSON.parse(headers), body };
			},
		};
	}

	/** Keeps Go's timers in a table instead of giving them to whoever runs now. */
	#keepTimers() {
		const gojs = this.#go.importObject.gojs;
		gojs["runtime.scheduleTimeoutEvent"] = (sp) => {
			const id = ++this.#lastTimer;
			const delay = Number(this.#go.mem.getBigInt64((sp >>> 0) + 8, true));
			this.#timers.set(id, performance.now() + delay);
			this.#go.mem.setInt32((sp >>> 0) + 16, id, true);
		};
		gojs["runtime.clearTimeoutEvent"] = (sp) => {
			this.#timers.delete(this.#go.mem.getInt32((sp >>> 0) + 8, true));
		};
	}
}
