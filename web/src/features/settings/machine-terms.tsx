import type { MachineRole } from "#api/queries.ts";
import { FieldGroup, TextField } from "#ui/fields.tsx";

/** What a machine is called and may do, as it is typed. */
export interface Terms {
	name: string;
	role: MachineRole;
	/** Separated by commas or spaces. */
	groups: string;
}

const roles: readonly [MachineRole, string, string][] = [
	["full", "Full", "You work there: it may do whatever you may."],
	[
		"deliver",
		"Deliver",
		"It reads the secrets that it is given and your releases, reports itself, and nothing else.",
	],
];

/** What the API takes of them; a name that is empty is the machine's own. */
export function termsBody({ name, role, groups }: Terms) {
	const list = groups.split(/[\s,]+/).filter(Boolean);
	return name.trim() === "" ? { role, groups: list } : { name: name.trim(), role, groups: list };
}

interface Props {
	terms: Terms;
	onChange: (terms: Terms) => void;
	/** What the name is without one. */
	ownName?: string;
	/** The name takes the focus when its dialog opens. */
	first?: boolean;
}

export function TermsFields({ terms, onChange, ownName, first = false }: Props) {
	return (
		<FieldGroup>
			<TextField
				label="Name"
				optional={ownName === undefined}
				value={terms.name}
				onChange={(name) => onChange({ ...terms, name })}
				placeholder={ownName ?? "its host name"}
				first={first}
			/>
			<fieldset className="flex flex-col gap-1.5">
				<legend className="mb-1.5 text-sm font-medium">What it may do</legend>
				{roles.map(([role, label, description]) => (
					<label key={role} className="flex items-start gap-2">
						<input
							type="radio"
							name="role"
							className="mt-0.5 size-4 shrink-0"
							checked={terms.role === role}
							onChange={() => onChange({ ...terms, role })}
						/>
						<span>
							{label}
							<span className="block text-sm text-muted">{description}</span>
						</span>
					</label>
				))}
			</fieldset>
			<TextField
				label="Groups"
				optional
				value={terms.groups}
				onChange={(groups) => onChange({ ...terms, groups })}
				placeholder="home, media"
			/>
		</FieldGroup>
	);
}
