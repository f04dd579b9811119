import { useQueryClient } from "@tanstack/react-query";
import { type RefObject, useEffect, useRef, useState } from "react";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { auditQuery, type Scope, secretsQuery } from "#api/queries.ts";
import { CategorySection } from "#ui/category-section.tsx";
import { FieldGroup, SecretField, TextField } from "#ui/fields.tsx";
import { toast } from "#ui/toaster.tsx";
import { allMachines } from "./scope.ts";
import { ScopeFields } from "./scope-fields.tsx";
import { nameProblem, valueProblem, valueWarning } from "./secret-rules.ts";

interface Props {
	nameField: RefObject<HTMLInputElement | null>;
	/** The name that somebody came here for: only its value is left to type. */
	wanted?: string | undefined;
}

/** Any name, any value: what no provider's section is for. */
export function NewSecretSection({ nameField, wanted }: Props) {
	const queries = useQueryClient();
	const valueField = useRef<HTMLElement>(null);
	const [name, setName] = useState("");
	const [value, setValue] = useState("");
	const [scope, setScope] = useState<Scope>(allMachines);
	const [problems, setProblems] = useState<{ name?: string | undefined; value?: string | undefined }>({});
	const [error, setError] = useState<string>();
	const [saving, setSaving] = useState(false);

	useEffect(() => {
		if (wanted === undefined) return;
		const problem = nameProblem(wanted);
		setName(wanted);
		setProblems({ name: problem });
		const field = problem === undefined ? valueField.current : nameField.current;
		field?.scrollIntoView({ block: "center" });
		field?.focus();
	}, [wanted, nameField]);

	const clear = () => {
		setName("");
		setValue("");
		setScope(allMachines);
		setProblems({});
		setError(undefined);
	};

	async function save() {
		const found = { name: nameProblem(name), value: valueProblem(value) };
		setProblems(found);
		setError(undefined);
		if (found.name !== undefined || found.value !== undefined) return;
		setSaving(true);
		try {
			await call("post", "/api/secrets/{name}", { params: { name }, body: { value, scope }, ifMatch: 0 });
			toast.success(`${name} saved`);
			clear();
			nameField.current?.focus();
			void queries.invalidateQueries({ queryKey: secretsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		} catch (failure) {
			if (hasCode(failure, "conflict") && failure.currentVersion !== undefined) {
				setProblems({ name: `${name} exists already. To give it a new value, use Replace in its row.` });
				void queries.invalidateQueries({ queryKey: secretsQuery.queryKey });
			} else if (hasCode(failure, "invalid_request") && failure.field === "name")
				setProblems({ name: explain(failure) });
			else if (hasCode(failure, "too_large") || hasCode(failure, "invalid_request")) {
				setProblems({ value: explain(failure) });
			} else setError(explain(failure));
		} finally {
			setSaving(false);
		}
	}

	return (
		<CategorySection
			title="New secret"
			description="Any name and value: passwords, certificates, tokens of other services"
			isDirty={(name !== "" && name !== wanted) || value !== ""}
			saving={saving}
			error={error}
			onSave={() => void save()}
			onDiscard={clear}
			alwaysSave
		>
			<FieldGroup>
				<TextField
					label="Name"
					description="Containers know it by this name. Letters, digits, '_' and '-'."
					placeholder="database_password, for example"
					value={name}
					onChange={(text) => {
						setName(text.trim());
						setProblems({ ...problems, name: undefined });
					}}
					onBlur={() => name !== "" && setProblems({ ...problems, name: nameProblem(name) })}
					error={problems.name}
					mono
					ref={nameField}
				/>
				<SecretField
					label="Value"
					ref={(element: HTMLElement | null) => {
						valueField.current = element;
					}}
					description="Several lines are fine. It is kept exactly as typed, up to 64 KiB."
					value={value}
					onChange={(text) => {
						setValue(text);
						setProblems({ ...problems, value: undefined });
					}}
					error={problems.value}
					warning={
						value.slice(0, -1).includes("\n") && !value.endsWith("\n") ? undefined : valueWarning(value)
					}
					multiline
				/>
				<details>
					<summary className="cursor-pointer text-sm font-medium">Which machines get it</summary>
					<div className="pt-3">
						<ScopeFields scope={scope} onChange={setScope} />
					</div>
				</details>
			</FieldGroup>
		</CategorySection>
	);
}
