import { infiniteQueryOptions, QueryClient, queryOptions } from "@tanstack/react-query";
import { call } from "./client.ts";
import { ApiError } from "./error.ts";
import { pages } from "./pages.ts";
import type { components } from "./schema.d.ts";

type Schemas = components["schemas"];
export type User = Schemas["User"];
export type Backup = Schemas["Backup"];
export type Session = Schemas["Session"];
export type Secret = Schemas["Secret"];
export type Scope = Schemas["Scope"];
export type Release = Schemas["Release"];
export type ReleaseVersion = Schemas["ReleaseVersion"];
export type AuditEvent = Schemas["AuditEvent"];
export type Host = Schemas["Host"];
export type HostSummary = Schemas["HostSummary"];
export type Machine = Schemas["Machine"];
export type MachineRole = Schemas["MachineRole"];
export type Invitation = Schemas["Invitation"];

/** Everything is asked even when the browser thinks it is offline: the server may be on this machine. */
export function newQueryClient(): QueryClient {
	return new QueryClient({
		defaultOptions: {
			queries: { networkMode: "always", retry: worthAnother, retryDelay: pause, staleTime: 5_000 },
			mutations: { networkMode: "always", retry: false },
		},
	});
}

function worthAnother(failures: number, error: Error): boolean {
	if (!(error instanceof ApiError) || failures >= 2) return false;
	return ["unreachable", "unavailable", "rate_limited"].includes(error.code) && (error.retryAfter ?? 0) <= 5;
}

function pause(failures: number, error: Error): number {
	if (error instanceof ApiError && error.retryAfter !== undefined) return error.retryAfter * 1000;
	return 500 * 2 ** failures;
}

export const userQuery = queryOptions({
	queryKey: ["user"],
	queryFn: ({ signal }) => call("get", "/api/user", { signal }),
	refetchOnWindowFocus: "always",
});

/** The names of the ways to sign in that the server accepts, the one it prefers first. */
export const signInMethodsQuery = queryOptions({
	queryKey: ["sign-in-methods"],
	queryFn: async ({ signal }) =>
		(await call("get", "/api/auth/methods", { open: true, signal })).methods.map(({ name }) => name),
	staleTime: 5 * 60_000,
});

export const sessionsQuery = queryOptions({
	queryKey: ["sessions"],
	queryFn: async ({ signal }) => (await call("get", "/api/sessions", { signal })).sessions,
});

export const secretsQuery = queryOptions({
	queryKey: ["secrets"],
	queryFn: async ({ signal }) => (await call("get", "/api/secrets", { signal })).secrets,
	refetchOnWindowFocus: "always",
});

export const secretVersionsQuery = (name: string) =>
	queryOptions({
		queryKey: ["secret-versions", name],
		queryFn: async ({ signal }) =>
			(await call("get", "/api/secrets/{name}/versions", { params: { name }, signal })).versions,
		staleTime: 0,
	});

/** All of them, page by page: the search looks at every one. */
export const releasesQuery = queryOptions({
	queryKey: ["releases"],
	queryFn: ({ signal }) =>
		pages<Release>(async (query) => {
			const page = await call("get", "/api/releases", { query, signal });
			return { items: page.releases, next: page.next_cursor };
		}),
});

export const releaseQuery = (id: string) =>
	queryOptions({
		queryKey: ["releases", id],
		queryFn: ({ signal }) => call("get", "/api/releases/{id}", { params: { id }, signal }),
	});

export const releaseVersionsQuery = (id: string) =>
	queryOptions({
		queryKey: ["releases", id, "versions"],
		queryFn: async ({ signal }) =>
			(await call("get", "/api/releases/{id}/versions", { params: { id }, signal })).versions,
	});

export const auditQuery = infiniteQueryOptions({
	queryKey: ["audit"],
	queryFn: ({ pageParam, signal }) =>
		call("get", "/api/audit", {
			query: pageParam ? { limit: 50, cursor: pageParam } : { limit: 50 },
			signal,
		}),
	initialPageParam: "",
	getNextPageParam: (page) => page.next_cursor,
});

/** The machines without what they hold and run: a machine may have much of that. */
export const hostsQuery = queryOptions({
	queryKey: ["hosts"],
	queryFn: ({ signal }) => allHosts({}, signal),
	refetchInterval: 30_000,
});

/** Which machine holds which version of which secret. */
export const heldSecretsQuery = queryOptions({
	queryKey: ["hosts", "secrets"],
	queryFn: ({ signal }) => allHosts({ include_secrets: true }, signal),
	refetchInterval: 30_000,
});

/** What is installed on which machine. */
export const installedQuery = queryOptions({
	queryKey: ["hosts", "deployments"],
	queryFn: ({ signal }) => allHosts({ include_deployments: true }, signal),
	refetchInterval: 30_000,
});

function allHosts(lists: { include_secrets?: true; include_deployments?: true }, signal: AbortSignal) {
	return pages<HostSummary>(async (query) => {
		const page = await call("get", "/api/hosts", { query: { ...query, ...lists }, signal });
		return { items: page.hosts, next: page.next_cursor };
	});
}

/** A machine with all that it reported. */
export const hostQuery = (device_id: string) =>
	queryOptions({
		queryKey: ["hosts", "one", device_id],
		queryFn: ({ signal }) => call("get", "/api/hosts/{device_id}", { params: { device_id }, signal }),
		refetchInterval: 30_000,
	});

/** The machines that sign in with a key of their own. */
export const machinesQuery = queryOptions({
	queryKey: ["machines"],
	queryFn: async ({ signal }) => (await call("get", "/api/machines", { signal })).machines,
	refetchInterval: 30_000,
});

export const invitationsQuery = queryOptions({
	queryKey: ["invitations"],
	queryFn: async ({ signal }) => (await call("get", "/api/invitations", { signal })).invitations,
	refetchInterval: 30_000,
});

/** The machine that shows a code. A wrong code counts, so it is asked once. */
export const enrolmentQuery = (code: string) =>
	queryOptions({
		queryKey: ["enrolment", code],
		queryFn: ({ signal }) => call("get", "/api/enrolments/{code}", { params: { code }, signal }),
		retry: false,
		staleTime: Number.POSITIVE_INFINITY,
		refetchOnWindowFocus: false,
	});
