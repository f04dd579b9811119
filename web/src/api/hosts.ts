import { ApiError } from "./error.ts";
import { status } from "./status.ts";

/** What a machine reported of itself. */
export interface Host {
	device_id: string;
	name: string;
	last_seen: string;
	cli_version: string;
	legerd_version?: string;
	podman_version?: string;
	secrets: { name: string; version: number; synced_at: string }[];
	deployments: Deployment[];
}

interface Deployment {
	release: string;
	version: number;
	commit: string;
	state: string;
	updated_at: string;
	units: { name: string; state: string }[];
}

/**
 * ADAPTER, to be removed once the contract has GET /api/hosts: then this is
 * `(await call("get", "/api/hosts", { signal })).hosts` and the types above come
 * from schema.d.ts. Until then a server without the route has no machines.
 */
export async function hostsOrNone(signal: AbortSignal): Promise<Host[]> {
	let response: Response;
	try {
		response = await fetch("/api/hosts", { signal, credentials: "same-origin" });
	} catch (error) {
		if (error instanceof DOMException && error.name === "AbortError") throw error;
		status.set({ reachable: false });
		throw new ApiError("unreachable", "the server does not answer");
	}
	if (response.status === 404) return [];
	const answer = await response.json();
	if (!answer.success) throw new ApiError(answer.error.code, answer.error.message);
	return answer.data.hosts;
}
