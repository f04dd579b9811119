import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type DragEvent, useEffect, useRef, useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery, secretsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { cx } from "#ui/cx.ts";
import { Dialog } from "#ui/dialog.tsx";
import { SecretField } from "#ui/fields.tsx";
import { toast } from "#ui/toaster.tsx";
import { decodeText, type Entry, type Problem, parseDotenv } from "./dotenv.ts";
import { importNames } from "./import-names.ts";

const largest = 512 * 1024; // bytes; what the server takes at once

interface Verdict {
	name: string;
	state: "new" | "changed" | "unchanged" | "invalid" | "conflict";
	/** The version it was at when this was found out; 0: there was none. */
	current_version: number;
	message?: string;
}

interface Preview {
	entries: Entry[];
	verdicts: Verdict[];
	problems: Problem[];
}

interface ImportProps {
	/** Dropped on the page: it is taken as if it had been chosen here. */
	file: File | undefined;
	onClose: () => void;
}

/** Paste or drop a .env file, look at what it would do, then do it, or part of it. */
export function ImportDialog({ file: dropped, onClose }: ImportProps) {
	const [text, setText] = useState("");
	const [lowerCase, setLowerCase] = useState(true);
	const [preview, setPreview] = useState<Preview>();
	const [refused, setRefused] = useState<string>();

	const look = useMutation({
		mutationFn: async (source: string): Promise<Preview> => {
			const { entries, problems } = parseDotenv(source);
			const named = importNames(entries, lowerCase);
			if (named.length === 0) return { entries: [], verdicts: [], problems };
			const { results } = await call("post", "/api/secrets:batch", {
				body: { secrets: named.map(({ name, value }) => ({ name, value })), dry_run: true },
			});
			return { entries: named, verdicts: results, problems };
		},
		onSuccess: (found) => {
			if (found.entries.length > 0) setPreview(found);
			else setRefused(nothingRead(found.problems));
		},
		onError: (error) => setRefused(explain(error)),
	});

	const start = (source: string) => {
		setRefused(undefined);
		if (new TextEncoder().encode(source).length > largest) {
			setRefused("This is more than 512 KiB. Import it in parts.");
		} else look.mutate(source);
	};

	async function take(file: File | undefined) {
		if (file === undefined) return;
		if (file.size > largest) {
			setRefused(`${file.name} is larger than 512 KiB: that is no .env file, or one to import in parts.`);
			return;
		}
		const content = decodeText(await file.arrayBuffer());
		if ("problem" in content) {
			setRefused(`${file.name} ${content.problem}`);
			return;
		}
		setText(content.text);
		start(content.text);
	}

	const takeDropped = useRef(take);
	takeDropped.current = take;
	useEffect(() => void takeDropped.current(dropped), [dropped]);

	if (preview !== undefined) {
		return (
			<PreviewDialog
				preview={preview}
				onBack={() => {
					setPreview(undefined);
					look.reset();
				}}
				onClose={onClose}
			/>
		);
	}
	return (
		<Dialog
			title="Import a .env file"
			description="Nothing is saved before you have seen what would change."
			wide
			onClose={onClose}
			footer={
				<>
					<Button onClick={onClose}>Cancel</Button>
					<Button
						variant="primary"
						disabled={text.trim() === ""}
						busy={look.isPending}
						onClick={() => start(text)}
					>
						Preview
					</Button>
				</>
			}
		>
			<DropArea onFile={(file) => void take(file)}>
				<SecretField
					label="Content of the file"
					placeholder={"OPENAI_API_KEY=sk-…\nDATABASE_URL=…"}
					value={text}
					onChange={(value) => {
						setText(value);
						setRefused(undefined);
					}}
					error={refused}
					multiline
				/>
				<label className="text-sm text-muted">
					Or choose a file, or drop one here:
					<input
						type="file"
						className="mt-1 block w-full text-sm text-ink file:mr-3 file:h-8 file:rounded-md file:border file:border-solid file:border-line file:bg-surface file:px-3 file:text-ink"
						onChange={(event) => void take(event.target.files?.[0])}
					/>
				</label>
				<label className="flex min-h-6 items-start gap-2 text-sm">
					<input
						type="checkbox"
						className="mt-0.5 size-4 shrink-0"
						checked={lowerCase}
						onChange={(event) => setLowerCase(event.target.checked)}
					/>
					<span>
						Lower-case names, as Leger's own are{" "}
						<span className="text-muted">(OPENAI_API_KEY becomes openai_api_key)</span>
					</span>
				</label>
			</DropArea>
		</Dialog>
	);
}

function nothingRead(problems: readonly Problem[]): string {
	const [first] = problems;
	if (first === undefined || problems.every(({ message }) => message.startsWith("is not of the form"))) {
		return "There is no NAME=value in this. Paste the content of a .env file.";
	}
	const others = problems.length - 1;
	const more =
		others > 0 ? ` ${others === 1 ? "1 more line has" : `${others} more lines have`} a problem.` : "";
	return `Nothing of this can be imported: line ${first.line} ${first.message}.${more}`;
}

function DropArea({
	onFile,
	children,
}: {
	onFile: (file: File | undefined) => void;
	children: React.ReactNode;
}) {
	const [over, setOver] = useState(false);
	const drop = (event: DragEvent) => {
		event.preventDefault();
		event.stopPropagation();
		setOver(false);
		onFile(event.dataTransfer.files[0]);
	};
	return (
		// biome-ignore lint/a11y/noStaticElementInteractions: dropping is one more way beside pasting and choosing
		<div
			onDragOver={(event) => {
				event.preventDefault();
				setOver(true);
			}}
			onDragLeave={() => setOver(false)}
			onDrop={drop}
			className={cx(
				"flex flex-col gap-4 rounded-lg",
				over && "outline-2 outline-offset-4 outline-accent outline-dashed",
			)}
		>
			{children}
		</div>
	);
}

const stateText = {
	new: "New",
	changed: "Changed",
	unchanged: "Unchanged",
	invalid: "Invalid",
	conflict: "Changed elsewhere",
};
const stateClass = {
	new: "text-accent",
	changed: "text-warn",
	unchanged: "text-muted",
	invalid: "text-danger",
	conflict: "text-danger",
};

interface PreviewProps {
	preview: Preview;
	onBack: () => void;
	onClose: () => void;
}

function PreviewDialog({ preview, onBack, onClose }: PreviewProps) {
	const queries = useQueryClient();
	const { entries, problems } = preview;
	const [verdicts, setVerdicts] = useState(preview.verdicts);
	const useful = verdicts.filter(({ state }) => state !== "unchanged" && state !== "invalid");
	const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
	const chosen = useful.filter(({ name }) => !left.has(name));

	const save = useMutation({
		// Only what the preview showed is replaced: the server refuses an item whose
		// secret was written, made or deleted since.
		mutationFn: () => {
			const seen = new Map(chosen.map(({ name, current_version }) => [name, current_version]));
			const secrets = entries
				.filter(({ name }) => seen.has(name))
				.map(({ name, value }) => ({ name, value, version: seen.get(name) }));
			return call("post", "/api/secrets:batch", { body: { secrets } });
		},
		onSuccess: ({ applied, results }) => {
			if (!applied) {
				const found = new Map(results.map((result) => [result.name, result]));
				setVerdicts(verdicts.map((verdict) => found.get(verdict.name) ?? verdict));
				const conflicts = results.filter(({ state }) => state === "conflict");
				setLeft(new Set([...left, ...conflicts.map(({ name }) => name)]));
				return;
			}
			toast.success(results.length === 1 ? "1 secret imported" : `${results.length} secrets imported`);
			onClose();
		},
		onSettled: () => {
			void queries.invalidateQueries({ queryKey: secretsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});

	const toggle = (name: string) => {
		const next = new Set(left);
		if (!next.delete(name)) next.add(name);
		setLeft(next);
	};

	return (
		<Dialog
			title="What would change"
			description={summary(verdicts, problems.length)}
			wide
			onClose={onClose}
			footer={
				<>
					<Button onClick={onBack}>Back</Button>
					<Button
						variant="primary"
						disabled={chosen.length === 0}
						busy={save.isPending}
						onClick={() => save.mutate()}
					>
						{chosen.length === 1 ? "Import 1 secret" : `Import ${chosen.length} secrets`}
					</Button>
				</>
			}
		>
			{save.isError && (
				<p role="alert" className="mb-3 text-danger">
					{explain(save.error)}
				</p>
			)}
			{save.data?.applied === false && (
				<p role="alert" className="mb-3 text-danger">
					Nothing was imported, because what is marked below was changed elsewhere after this preview. Choose
					it again to replace it all the same, or import the others without it.
				</p>
			)}
			<ul className="divide-y divide-line border-y border-line">
				{verdicts.map(({ name, state, message }) => (
					<li key={name} className="lazy-row py-1.5">
						<label className="flex min-h-6 items-center gap-3">
							<input
								type="checkbox"
								className="size-4 shrink-0"
								checked={useful.some((other) => other.name === name) && !left.has(name)}
								disabled={state === "unchanged" || state === "invalid"}
								onChange={() => toggle(name)}
							/>
							<code className="min-w-0 flex-1 font-mono text-sm break-all">{name}</code>
							<span className={cx("text-sm", stateClass[state])}>{stateText[state]}</span>
						</label>
						{message && <p className="ml-7 text-sm text-danger">{message}</p>}
					</li>
				))}
				{problems.map(({ line, message }) => (
					<li key={`line ${line}`} className="flex justify-between gap-3 py-1.5 pl-7 text-sm">
						<span>
							Line {line} {message}
						</span>
						<span className="text-danger">Skipped</span>
					</li>
				))}
			</ul>
		</Dialog>
	);
}

function summary(verdicts: readonly Verdict[], skipped: number): string {
	const counts = (["new", "changed", "unchanged", "invalid", "conflict"] as const)
		.map((state) => [verdicts.filter((verdict) => verdict.state === state).length, state] as const)
		.filter(([n]) => n > 0)
		.map(([n, state]) => `${n} ${stateText[state].toLowerCase()}`);
	if (skipped > 0) counts.push(skipped === 1 ? "1 line skipped" : `${skipped} lines skipped`);
	return `${counts.join(", ")}. Nothing is saved yet.`;
}
