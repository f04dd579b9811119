import { ApiError, type ErrorCode } from "./error.ts";
import type { components, paths } from "./schema.d.ts";
import { status } from "./status.ts";

type Method = "get" | "post" | "put" | "patch" | "delete";
type MethodOf<P extends keyof paths> = { [M in Method]: paths[P][M] extends object ? M : never }[Method];
type Operation<P extends keyof paths, M extends MethodOf<P>> = paths[P][M];

type DataOf<O> = O extends { responses: { 200: { content: { "application/json": { data?: infer D } } } } }
	? NonNullable<D>
	: never;
type BodyOf<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? B : never;
type ParamsOf<O> = O extends { parameters: { path: infer V } } ? V : never;
type QueryOf<O> = O extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never;

interface Options<O> {
	params?: ParamsOf<O>;
	query?: QueryOf<O>;
	body?: BodyOf<O>;
	/** The version that is to be replaced; 0 is none: what is there already stays, and the answer is a conflict. */
	ifMatch?: number | undefined;
	/** Of a sign-in link. Everything else is signed in by the cookie. */
	token?: string;
	/** The route answers anybody: its answer says nothing about a session. */
	open?: boolean;
	signal?: AbortSignal;
}

/**
 * Asks the API and gives `data`. Throws ApiError and nothing else, but for the
 * AbortError of a signal.
 */
export async function call<P extends keyof paths, M extends MethodOf<P>>(
	method: M,
	path: P,
	options: Options<Operation<P, M>> = {},
): Promise<DataOf<Operation<P, M>>> {
	const response = await send(
		method,
		address(path, Object.entries(options.params ?? {}), Object.entries(options.query ?? {})),
		options,
	);
	status.set({ reachable: true });
	const answer = await read(response);
	if (answer.success) {
		if (options.open !== true) status.set({ signedIn: "yes" });
		return answer.data as DataOf<Operation<P, M>>;
	}
	if (answer.error.code === "invalid_token" && options.token === undefined) status.set({ signedIn: "no" });
	throw failure(answer.error, response);
}

async function send(
	method: string,
	url: string,
	options: { body?: unknown; ifMatch?: number | undefined; token?: string; signal?: AbortSignal },
): Promise<Response> {
	const headers = new Headers({ Accept: "application/json" });
	if (options.body !== undefined) headers.set("Content-Type", "application/json");
	if (options.ifMatch === 0) headers.set("If-None-Match", "*");
	else if (options.ifMatch !== undefined) headers.set("If-Match", `"${options.ifMatch}"`);
	if (options.token !== undefined) headers.set("Authorization", `Bearer ${options.token}`);
	const init: RequestInit = { method: method.toUpperCase(), headers, credentials: "same-origin" };
	if (options.body !== undefined) init.body = JSON.stringify(options.body);
	if (options.signal !== undefined) init.signal = options.signal;
	try {
		return await fetch(url, init);
	} catch (error) {
		if (error instanceof DOMException && error.name === "AbortError") throw error;
		status.set({ reachable: false });
		throw new ApiError("unreachable", "the server does not answer");
	}
}

function address(path: string, params: [string, unknown][], query: [string, unknown][]): string {
	let url = path;
	for (const [name, value] of params) {
		url = url.replace(`{${name}}`, encodeURIComponent(String(value)));
	}
	const search = new URLSearchParams();
	for (const [name, value] of query) {
		if (value !== undefined) search.set(name, String(value));
	}
	return search.size > 0 ? `${url}?${search}` : url;
}

type Answer = { success: true; data: unknown } | { success: false; error: components["schemas"]["Error"] };

/** Something between here and the server may answer with a page of its own. */
async function read(response: Response): Promise<Answer> {
	try {
		const body: unknown = await response.json();
		if (typeof body === "object" && body !== null && "success" in body) return body as Answer;
	} catch {
		// Judged by the status below.
	}
	if ([502, 503, 504].includes(response.status)) {
		status.set({ reachable: false });
		throw new ApiError("unreachable", "the server does not answer");
	}
	const code: ErrorCode = response.status === 413 ? "too_large" : "unreadable";
	throw new ApiError(code, `the server's answer cannot be read (status ${response.status})`);
}

function failure(error: components["schemas"]["Error"], response: Response): ApiError {
	const retryAfter = error.retry_after ?? Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
	return new ApiError(error.code, error.message, {
		hint: error.hint,
		field: error.field,
		currentVersion: error.current_version,
		requestId: error.request_id,
		retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined,
	});
}
