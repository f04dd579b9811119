import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { machinesQuery, type Scope, signInMethodsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { TextField } from "#ui/fields.tsx";
import { allMachines, knownGroups } from "./scope.ts";

interface Props {
	scope: Scope;
	onChange: (scope: Scope) => void;
	/** The choice takes the focus when its dialog opens. */
	first?: boolean;
}

/** The choice of the machines that a secret is given to. */
export function ScopeFields({ scope, onChange, first = false }: Props) {
	const machines = useQuery(machinesQuery);
	const methods = useQuery(signInMethodsQuery).data ?? [];
	const all = scope.all === true;
	const chosen = { machines: scope.machines ?? [], groups: scope.groups ?? [] };
	const toggle = (kind: "machines" | "groups", item: string, on: boolean) =>
		onChange({
			...chosen,
			[kind]: on ? [...chosen[kind], item] : chosen[kind].filter((other) => other !== item),
		});
	const groups = knownGroups(scope, machines.data ?? []);
	return (
		<fieldset className="flex flex-col gap-1.5">
			<legend className="mb-1.5 text-sm font-medium">Given to</legend>
			<Choice
				label="All machines"
				description="Those to come, too."
				checked={all}
				onChange={() => onChange(allMachines)}
				first={first && all}
			/>
			<Choice
				label="Chosen machines and groups"
				description="No other machine is given it, and one that only delivers does not learn of it."
				checked={!all}
				onChange={() => onChange(chosen)}
				first={first && !all}
			/>
			{!all && (
				<div className="ml-6 flex flex-col gap-3 border-l border-line pl-4">
					{machines.isError && <p className="text-sm text-danger">The machines could not be loaded.</p>}
					<Boxes
						title="Machines"
						none="No machine has a key of its own yet: leger auth login on it makes one."
						items={(machines.data ?? []).map(({ id, name, unix_user, groups: of }) => ({
							item: id,
							label: name,
							note: [unix_user, ...of].join(", "),
						}))}
						chosen={chosen.machines}
						onToggle={(id, on) => toggle("machines", id, on)}
					/>
					<Boxes
						title="Groups"
						none="No machine is in a group yet."
						items={groups.map((group) => ({ item: group, label: group, note: "" }))}
						chosen={chosen.groups}
						onToggle={(group, on) => toggle("groups", group, on)}
					/>
					<AnotherGroup onAdd={(group) => toggle("groups", group, !chosen.groups.includes(group))} />
				</div>
			)}
			{!all && methods.includes("shared-secret") && (
				<p className="text-sm text-warn">
					This server accepts its shared secret, too: whoever has that can read every secret, whatever is
					chosen here.
				</p>
			)}
		</fieldset>
	);
}

function Choice(props: {
	label: string;
	description: string;
	checked: boolean;
	onChange: () => void;
	first: boolean;
}) {
	return (
		<label className="flex items-start gap-2">
			<input
				type="radio"
				name="scope"
				className="mt-0.5 size-4 shrink-0"
				checked={props.checked}
				onChange={props.onChange}
				data-first={props.first || undefined}
			/>
			<span>
				{props.label}
				<span className="block text-sm text-muted">{props.description}</span>
			</span>
		</label>
	);
}

function Boxes(props: {
	title: string;
	none: string;
	items: readonly { item: string; label: string; note: string }[];
	chosen: readonly string[];
	onToggle: (item: string, on: boolean) => void;
}) {
	return (
		<fieldset className="flex flex-col gap-1">
			<legend className="mb-1 text-sm text-muted">{props.title}</legend>
			{props.items.length === 0 && <p className="text-sm text-muted">{props.none}</p>}
			{props.items.map(({ item, label, note }) => (
				<label key={item} className="flex min-h-8 items-center gap-2">
					<input
						type="checkbox"
						className="size-4 shrink-0"
						checked={props.chosen.includes(item)}
						onChange={(event) => props.onToggle(item, event.target.checked)}
					/>
					<span className="min-w-0 break-words">
						{label}
						{note !== "" && <span className="text-sm text-muted"> · {note}</span>}
					</span>
				</label>
			))}
		</fieldset>
	);
}

/** A group may be named before a machine is in it. */
function AnotherGroup({ onAdd }: { onAdd: (group: string) => void }) {
	const [name, setName] = useState("");
	const valid = /^[A-Za-z0-9_-]{1,128}$/.test(name);
	const add = () => {
		if (!valid) return;
		onAdd(name);
		setName("");
	};
	return (
		<div className="flex items-start gap-2">
			<div className="min-w-0 flex-1">
				<TextField
					label="Another group"
					optional
					value={name}
					onChange={(text) => setName(text.trim())}
					onEnter={add}
					error={name === "" || valid ? undefined : "Letters, digits, '_' and '-' only."}
				/>
			</div>
			<div className="pt-6.5">
				<Button onClick={add} disabled={!valid}>
					Add
				</Button>
			</div>
		</div>
	);
}
