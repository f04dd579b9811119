import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { FileUp, Plus } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { explain } from "#api/error.ts";
import { heldSecretsQuery, type Secret, secretsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Command } from "#ui/command.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { SearchInput } from "#ui/search-input.tsx";
import { useShortcut } from "#ui/shortcuts.ts";
import { ErrorState, SkeletonRows } from "#ui/states.tsx";
import { CustomSection } from "./custom-section.tsx";
import { ImportDialog } from "./import-dialog.tsx";
import { NewSecretSection } from "./new-secret-section.tsx";
import { ProviderSection } from "./provider-section.tsx";
import { type Provider, providerSecrets, providers } from "./providers.ts";
import { rowId } from "./secret-row.tsx";

export function ApiKeysPage() {
	const secrets = useQuery(secretsQuery);
	const [importing, setImporting] = useState<File | "nothing yet">();
	const nameField = useRef<HTMLInputElement>(null);
	const addSecret = () => {
		nameField.current?.scrollIntoView({ block: "center" });
		nameField.current?.focus();
	};
	useShortcut("n", addSecret);
	const wanted = useWanted();
	useDroppedFile(setImporting);
	return (
		<PageLayout>
			<PageHeader
				title="API Keys & Integrations"
				description="Manage third-party API keys for AI services"
				action={
					<>
						<Button onClick={() => setImporting("nothing yet")}>
							<FileUp className="size-4" aria-hidden />
							Import .env
						</Button>
						<Button variant="primary" onClick={addSecret} aria-keyshortcuts="n">
							<Plus className="size-4" aria-hidden />
							New secret
						</Button>
					</>
				}
			/>
			{secrets.data !== undefined ? (
				<Sections list={secrets.data} nameField={nameField} asked={wanted} />
			) : secrets.isError ? (
				<ErrorState
					title="The secrets could not be loaded"
					message={explain(secrets.error)}
					onRetry={() => void secrets.refetch()}
					retrying={secrets.isFetching}
				/>
			) : (
				<SkeletonRows rows={6} />
			)}
			{importing !== undefined && (
				<ImportDialog
					file={importing === "nothing yet" ? undefined : importing}
					onClose={() => setImporting(undefined)}
				/>
			)}
		</PageLayout>
	);
}

interface SectionsProps {
	list: readonly Secret[];
	nameField: React.RefObject<HTMLInputElement | null>;
	/** The name of the secret that somebody came here to make. */
	asked: string | undefined;
}

function Sections({ list, nameField, asked }: SectionsProps) {
	const hosts = useQuery(heldSecretsQuery).data ?? [];
	const [search, setSearch] = useState("");
	const secrets = useMemo(() => new Map(list.map((secret) => [secret.name, secret])), [list]);
	const custom = useMemo(
		() => list.map((secret) => secret.name).filter((name) => !providerSecrets.has(name)),
		[list],
	);
	// What is set comes first, as it was when the page opened: nothing jumps on saving.
	const [order] = useState(() => inOrder(secrets));
	const [hadSecrets] = useState(list.length > 0);
	const [stored] = useState(() => (asked === undefined ? undefined : secrets.get(asked)));
	const hasRow = asked !== undefined && (stored !== undefined || providerSecrets.has(asked));
	useEffect(() => {
		if (hasRow) focusRow(asked);
	}, [hasRow, asked]);

	const wanted = search.trim().toLowerCase();
	const has = (...texts: string[]) => texts.some((text) => text.toLowerCase().includes(wanted));
	const shown = (provider: Provider) =>
		has(provider.title, provider.description, ...provider.fields.map((field) => field.secret));
	const customShown = has("custom secrets") || custom.some((name) => has(name));
	const nothing = !providers.some(shown) && !customShown;

	const section = (provider: Provider) => (
		<div key={provider.title} hidden={!shown(provider)}>
			<ProviderSection provider={provider} secrets={secrets} hosts={hosts} />
		</div>
	);
	const customSection = (
		<div key="custom" hidden={!customShown}>
			<CustomSection
				secrets={secrets}
				names={custom}
				matches={(name) => has(name) || has("custom secrets")}
				hosts={hosts}
			/>
		</div>
	);
	const newSection = (
		<div key="new" hidden={wanted !== ""}>
			<NewSecretSection nameField={nameField} wanted={hasRow ? undefined : asked} />
		</div>
	);
	return (
		<>
			<div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2 pt-4">
				<SearchInput label="Search secrets" value={search} onChange={setSearch} />
				<p className="text-sm text-muted" role="status">
					{list.length === 0
						? "Nothing is stored yet"
						: list.length === 1
							? "1 secret stored"
							: `${list.length} secrets stored`}
				</p>
			</div>
			{stored !== undefined && <StoredAlready name={stored.name} />}
			{list.length === 0 && asked === undefined && <FirstSteps />}
			{nothing && (
				<p className="py-16 text-center text-muted">
					No secret and no provider matches. <Button onClick={() => setSearch("")}>Clear the search</Button>
				</p>
			)}
			<div className="divide-y divide-line">
				{order.set.map(section)}
				{hadSecrets ? [customSection, newSection] : null}
				{order.unset.map(section)}
				{hadSecrets ? null : [customSection, newSection]}
			</div>
		</>
	);
}

/** Takes the name of a secret to make from the address, which forgets it: a reload does not ask again. */
function useWanted(): string | undefined {
	const asked = useSearch({ from: "/shell/api-keys" }).new;
	const [wanted] = useState(asked);
	const navigate = useNavigate();
	useEffect(() => {
		if (asked !== undefined) void navigate({ to: "/api-keys", search: {}, replace: true });
	}, [asked, navigate]);
	return wanted;
}

/** Goes to the row of a secret: its field, or what opens one. */
function focusRow(name: string) {
	const target = document.getElementById(rowId(name))?.querySelector<HTMLElement>("input, textarea, button");
	target?.scrollIntoView({ block: "center" });
	target?.focus();
}

function StoredAlready({ name }: { name: string }) {
	return (
		<div
			role="status"
			className="mt-4 flex flex-col gap-2 rounded-lg border border-line bg-surface p-4 text-sm"
		>
			<p>
				<code className="font-mono">{name}</code> is stored already. To bring it to the machine that misses
				it, run there:
			</p>
			<Command text="leger secrets sync" />
		</div>
	);
}

function FirstSteps() {
	return (
		<div className="mt-4 flex flex-col gap-2 rounded-lg border border-line bg-surface p-4 text-sm">
			<p>Type a key below, import a .env file, or use a terminal:</p>
			<Command text="leger secrets set openai_api_key" />
			<p className="text-muted">
				Values are encrypted before they are stored, and never shown in a browser again. A machine fetches
				them with <code className="font-mono">leger secrets sync</code>.
			</p>
		</div>
	);
}

function inOrder(secrets: ReadonlyMap<string, Secret>): { set: Provider[]; unset: Provider[] } {
	const isSet = (provider: Provider) => provider.fields.some((field) => secrets.has(field.secret));
	return { set: providers.filter(isSet), unset: providers.filter((provider) => !isSet(provider)) };
}

/** A file that is dropped anywhere on the page is taken for a .env file, and never opened by the browser. */
function useDroppedFile(onFile: (file: File) => void): void {
	const latest = useRef(onFile);
	latest.current = onFile;
	useEffect(() => {
		const over = (event: globalThis.DragEvent) => {
			if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
		};
		const drop = (event: globalThis.DragEvent) => {
			const file = event.dataTransfer?.files[0];
			if (file === undefined || event.defaultPrevented) return;
			event.preventDefault();
			latest.current(file);
		};
		window.addEventListener("dragover", over);
		window.addEventListener("drop", drop);
		return () => {
			window.removeEventListener("dragover", over);
			window.removeEventListener("drop", drop);
		};
	}, []);
}
