import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "#api/client.ts";
import { ApiError, explain, hasCode } from "#api/error.ts";
import { auditQuery, type Secret, secretsQuery, secretVersionsQuery } from "#api/queries.ts";
import { toast } from "#ui/toaster.tsx";
import { valueProblem } from "./secret-rules.ts";

/** What was typed for one secret and is not saved. */
interface Draft {
	value: string;
	/** The version that was stored when the typing began; 0 is none. */
	base: number;
	problem?: string | undefined;
}

/** Somebody saved another value while this one was typed. */
interface Conflict {
	name: string;
	/** What is stored now; undefined if it was deleted. */
	current: number | undefined;
}

export interface Drafts {
	of: (name: string) => Draft | undefined;
	begin: (name: string) => void;
	type: (name: string, value: string) => void;
	drop: (name: string) => void;
	dropAll: () => void;
	save: () => Promise<void>;
	overwrite: (name: string) => Promise<void>;
	conflict: Conflict | undefined;
	ignoreConflict: () => void;
	isDirty: boolean;
	saving: boolean;
	error: string | undefined;
}

/**
 * The unsaved values of one section. They live in memory only and are forgotten
 * as soon as the server has them. A save replaces just the version that was
 * stored when the typing began, so two tabs cannot lose each other's edits.
 */
export function useDrafts(title: string, secrets: ReadonlyMap<string, Secret>): Drafts {
	const queries = useQueryClient();
	const [drafts, setDrafts] = useState<Readonly<Record<string, Draft>>>({});
	const [saving, setSaving] = useState(false);
	const [error, setError] = useState<string>();
	const [conflict, setConflict] = useState<Conflict>();

	const patch = (name: string, draft: Draft | undefined) =>
		setDrafts((all) => {
			const { [name]: _, ...others } = all;
			return draft === undefined ? others : { ...others, [name]: draft };
		});
	const blame = (name: string, problem: string | undefined) =>
		setDrafts((all) => (all[name] === undefined ? all : { ...all, [name]: { ...all[name], problem } }));
	/** Forgets what was saved, unless more was typed meanwhile. */
	const settle = (name: string, saved: string, version: number) =>
		setDrafts((all) => {
			const { [name]: draft, ...others } = all;
			if (draft === undefined || draft.value === saved) return others;
			return { ...others, [name]: { value: draft.value, base: version } };
		});
	const fresh = (name: string): Draft => ({ value: "", base: secrets.get(name)?.version ?? 0 });

	async function write(name: string, draft: Draft): Promise<boolean> {
		try {
			const written = await call("post", "/api/secrets/{name}", {
				params: { name },
				body: { value: draft.value },
				ifMatch: draft.base,
			});
			settle(name, draft.value, written.version);
			queries.setQueryData(secretsQuery.queryKey, (list) => withSecret(list ?? [], written));
			return true;
		} catch (failure) {
			blame(name, explain(failure));
			const moved = hasCode(failure, "conflict") || hasCode(failure, "not_found");
			// A conflict that names no version, and none was expected: the account is full.
			if (moved && (draft.base > 0 || failure.currentVersion !== undefined)) {
				setConflict({ name, current: failure.currentVersion });
			}
			// One message for the section when every field would fail alike.
			if (
				failure instanceof ApiError &&
				!["conflict", "not_found", "invalid_request", "too_large"].includes(failure.code)
			) {
				setError(explain(failure));
				blame(name, undefined);
				throw failure;
			}
			return false;
		}
	}

	async function saveThese(entries: [string, Draft][]): Promise<void> {
		const problems = entries.map(([name, draft]) => ({ name, problem: valueProblem(draft.value) }));
		for (const { name, problem } of problems) blame(name, problem);
		if (problems.some(({ problem }) => problem !== undefined)) return;
		setSaving(true);
		setError(undefined);
		let saved = 0;
		try {
			for (const [name, draft] of entries) if (await write(name, draft)) saved++;
			if (saved === entries.length) toast.success(`${title} saved`, { description: savedNames(entries) });
		} catch {
			// The section shows it, and keeps what was not saved.
		} finally {
			setSaving(false);
			for (const [name] of entries) queries.removeQueries(secretVersionsQuery(name));
			void queries.invalidateQueries({ queryKey: secretsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		}
	}

	const typed = Object.entries(drafts).filter(([, draft]) => draft.value !== "");
	return {
		of: (name) => drafts[name],
		begin: (name) => patch(name, fresh(name)),
		type: (name, value) => patch(name, { ...(drafts[name] ?? fresh(name)), value, problem: undefined }),
		drop: (name) => patch(name, undefined),
		dropAll: () => {
			setDrafts({});
			setError(undefined);
		},
		save: () => saveThese(typed),
		overwrite: async (name) => {
			const draft = drafts[name];
			const latest = conflict?.current;
			setConflict(undefined);
			if (draft !== undefined) await saveThese([[name, { value: draft.value, base: latest ?? 0 }]]);
		},
		conflict,
		ignoreConflict: () => setConflict(undefined),
		isDirty: typed.length > 0,
		saving,
		error,
	};
}

function savedNames(entries: [string, Draft][]): string {
	return entries.map(([name]) => name).join(", ");
}

function withSecret(list: Secret[], written: Secret): Secret[] {
	const before = list.find((secret) => secret.name === written.name);
	const others = list.filter((secret) => secret !== before);
	return [...others, { ...before, ...written }].sort((a, b) => (a.name < b.name ? -1 : 1));
}
