import type { components } from "./schema.d.ts";

/** Codes of the server, and two of our own: no answer at all, and one that is not the API's. */
export type ErrorCode = components["schemas"]["Error"]["code"] | "unreachable" | "unreadable";

interface Details {
	hint?: string | undefined;
	field?: string | undefined;
	currentVersion?: number | undefined;
	requestId?: string | undefined;
	/** Seconds. */
	retryAfter?: number | undefined;
}

/** The one error the API client throws. Decide by `code`; `message` and `hint` are for people. */
export class ApiError extends Error {
	readonly code: ErrorCode;
	readonly hint: string | undefined;
	readonly field: string | undefined;
	readonly currentVersion: number | undefined;
	readonly requestId: string | undefined;
	readonly retryAfter: number | undefined;

	constructor(code: ErrorCode, message: string, details: Details = {}) {
		super(message);
		this.name = "ApiError";
		this.code = code;
		this.hint = details.hint;
		this.field = details.field;
		this.currentVersion = details.currentVersion;
		this.requestId = details.requestId;
		this.retryAfter = details.retryAfter;
	}
}

export function hasCode(error: unknown, code: ErrorCode): error is ApiError {
	return error instanceof ApiError && error.code === code;
}

/** One or two sentences for people: what happened, and what to do next. */
export function explain(error: unknown): string {
	if (!(error instanceof ApiError)) return "Something went wrong in this page. Reload it and try again.";
	switch (error.code) {
		case "unreachable":
			return "The server does not answer. Try again in a moment.";
		case "invalid_token":
			return "You are signed out. Sign in again in another tab, then try again.";
		case "rate_limited":
			return `Too many requests. Try again in ${seconds(error.retryAfter ?? 1)}.`;
		case "unavailable":
			return "The server cannot reach its storage now. Try again in a moment.";
		case "internal":
		case "unreadable":
			return sentences(
				error.message,
				error.requestId && `The server's log has the cause under ${error.requestId}`,
			);
		default:
			return sentences(error.message, error.hint);
	}
}

function seconds(n: number): string {
	return n === 1 ? "a second" : `${n} seconds`;
}

function sentences(...parts: (string | undefined)[]): string {
	return parts
		.filter((part): part is string => part !== undefined && part !== "")
		.map((part) => `${part.charAt(0).toUpperCase()}${part.slice(1)}`.replace(/([^.!?…])$/, "$1."))
		.join(" ");
}
