import { useQuery } from "@tanstack/react-query";
import { History, MonitorCheck, Trash2 } from "lucide-react";
import { useState } from "react";
import { type HostSummary, machinesQuery, type Secret } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { SecretField, TextField } from "#ui/fields.tsx";
import { Time } from "#ui/time.tsx";
import { DeleteDialog } from "./delete-dialog.tsx";
import type { Drafts } from "./drafts.ts";
import { HistoryDialog } from "./history-dialog.tsx";
import { Machines } from "./machines.tsx";
import type { ProviderField } from "./providers.ts";
import { ScopeDialog } from "./scope-dialog.tsx";
import { valueWarning } from "./secret-rules.ts";

interface Props {
	name: string;
	label: string;
	secret: Secret | undefined;
	field?: ProviderField;
	drafts: Drafts;
	hosts: readonly HostSummary[];
	/** Whose section it is: many have an "API Key". */
	section: string;
}

/** Where a secret's row is on the page. */
export const rowId = (name: string) => `secret-${name}`;

/** One secret: what is stored, or the field for a new value. */
export function SecretRow({ name, label, secret, field, drafts, hosts, section }: Props) {
	const draft = drafts.of(name);
	const open = secret === undefined || draft !== undefined;
	return (
		<div id={rowId(name)} className="flex flex-col gap-1.5">
			{secret !== undefined && (
				<Stored
					name={name}
					label={label}
					secret={secret}
					open={open}
					drafts={drafts}
					section={section}
					hosts={hosts}
				/>
			)}
			{open && (
				<Input name={name} label={label} secret={secret} field={field} drafts={drafts} section={section} />
			)}
		</div>
	);
}

function Input({ name, label, secret, field, drafts, section }: Omit<Props, "hosts">) {
	const draft = drafts.of(name);
	const moved = secret !== undefined && draft !== undefined && draft.base !== secret.version;
	const shared = {
		label: secret === undefined ? label : "New value",
		of: secret === undefined ? section : name,
		value: draft?.value ?? "",
		onChange: (value: string) => drafts.type(name, value),
		placeholder: field?.placeholder ?? "",
		optional: field?.optional === true && secret === undefined,
		error: draft?.problem,
		warning: moved
			? `Somebody saved version ${secret.version} while you were typing. Saving asks before it replaces that.`
			: valueWarning(draft?.value ?? "", field),
		aside: secret === undefined ? <SecretName name={name} /> : undefined,
	};
	// What opens on Replace takes the focus; what is there from the start does not.
	const focus = (element: HTMLElement | null) => {
		if (secret !== undefined && draft?.value === "") element?.focus();
	};
	return field?.plain ? (
		<TextField {...shared} mono ref={focus} />
	) : (
		<SecretField {...shared} multiline={field === undefined} ref={focus} />
	);
}

function Stored({
	name,
	label,
	secret,
	open,
	drafts,
	hosts,
}: Omit<Props, "field"> & { secret: Secret; open: boolean }) {
	const [dialog, setDialog] = useState<"history" | "delete" | "scope">();
	const machines = useQuery(machinesQuery).data ?? [];
	const close = () => setDialog(undefined);
	const title = label === name ? undefined : label;
	return (
		<div className="flex flex-wrap items-center gap-x-4 gap-y-2">
			<div className="min-w-0 flex-1 basis-60">
				<p className="flex flex-wrap items-baseline gap-x-2">
					{title && <span className="text-sm font-medium">{title}</span>}
					<SecretName name={name} strong={title === undefined} />
				</p>
				<p className="flex flex-wrap items-center gap-x-1.5 text-sm text-muted">
					<span className="size-1.5 rounded-full bg-accent" aria-hidden />
					Set · version {secret.version} · <Time at={secret.updated_at} />
				</p>
				<Machines name={name} version={secret.version} scope={secret.scope} hosts={hosts} />
			</div>
			<div className="flex gap-1">
				<Button
					small
					aria-expanded={open}
					aria-label={`${open ? "Cancel replacing" : "Replace"} ${name}`}
					onClick={() => (open ? drafts.drop(name) : drafts.begin(name))}
				>
					{open ? "Cancel" : "Replace"}
				</Button>
				<Button
					small
					icon
					variant="ghost"
					aria-label={`History of ${name}`}
					title="History"
					onClick={() => setDialog("history")}
				>
					<History className="size-4" aria-hidden />
				</Button>
				<Button
					small
					icon
					variant="ghost"
					aria-label={`Machines that get ${name}`}
					title="Machines"
					onClick={() => setDialog("scope")}
				>
					<MonitorCheck className="size-4" aria-hidden />
				</Button>
				<Button
					small
					icon
					variant="ghost"
					aria-label={`Delete ${name}`}
					title="Delete"
					onClick={() => setDialog("delete")}
				>
					<Trash2 className="size-4" aria-hidden />
				</Button>
			</div>
			{dialog === "history" && <HistoryDialog secret={secret} onClose={close} />}
			{dialog === "scope" && <ScopeDialog secret={secret} machines={machines} onClose={close} />}
			{dialog === "delete" && <DeleteDialog secret={secret} hosts={hosts} onClose={close} />}
		</div>
	);
}

function SecretName({ name, strong = false }: { name: string; strong?: boolean }) {
	return (
		<code
			className={
				strong ? "font-mono text-sm font-medium break-all" : "font-mono text-xs break-all text-muted"
			}
		>
			{name}
		</code>
	);
}
