// From the platform's requests to Go and back.

import pageHeaders from "../build/headers.json";
import { Ended, instance } from "./instance.mjs";

// One byte more than Go takes (leger.MaxBody), so that it is Go who refuses.
const MOST = (512 << 10) + 1;

/** Answers a request of the API. The platform must be told to wait for it. */
export async function serve(request, env, ctx) {
	try {
		const body = await read(request);
		const head = { method: request.method, url: request.url, remote: remote(request), headers: [...request.headers] };
		const go = instance(env);
		const leave = await go.admit(body);
		let answer;
		try {
			answer = await go.serve(env, ctx, head, body);
		} finally {
			leave();
		}
		const { status, headers, body: bytes } = answer;
		return new Response(request.method === "HEAD" ? null : bytes, { status, headers });
	} catch (error) {
		if (!(error instanceof Ended)) console.error(JSON.stringify({ level: "ERROR", msg: "request", error: String(error) }));
		return failed();
	}
}

/** Does what is due; a failure is an error, for the dashboard to count. */
export async function scheduled(env, ctx) {
	const { status } = await instance(env).scheduled(env, ctx);
	if (status !== 200) throw new Error("the schedule was not done: the log says why");
}

function remote(request) {
	return request.headers.get("CF-Connecting-IP") ?? "0.0.0.0";
}

/** Reads a body, but never much more than Go would take. */
async function read(request) {
	if (request.body === null) return null;
	const whole = new Uint8Array(Math.min(MOST, Number(request.headers.get("Content-Length") ?? MOST)) || MOST);
	let size = 0;
	const reader = request.body.getReader();
	for (;;) {
		const { done, value } = await reader.read();
		if (done) return whole.subarray(0, size);
		const part = value.subarray(0, whole.length - size);
		whole.set(part, size);
		size += part.length;
		if (size === whole.length && size === MOST) {
			await reader.cancel();
			return whole;
		}
	}
}

function failed() {
	const error = {
		code: "internal",
		message: "something went wrong on the server",
		hint: "try again; the Worker's log has the cause",
	};
	const headers = { ...pageHeaders, "Cache-Control": "no-store" };
	return Response.json({ success: false, error }, { status: 500, headers });
}
