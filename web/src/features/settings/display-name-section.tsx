import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { type User, userQuery } from "#api/queries.ts";
import { CategorySection } from "#ui/category-section.tsx";
import { FieldGroup, TextField } from "#ui/fields.tsx";
import { toast } from "#ui/toaster.tsx";
import { displayNameProblem } from "./display-name.ts";

/** One field needs none of what the forms of releases load. */
export function DisplayNameSection({ user }: { user: User }) {
	const queries = useQueryClient();
	const stored = user.display_name ?? "";
	const [typed, setTyped] = useState<string>();
	const value = typed ?? stored;
	const isDirty = value !== stored;
	const problem = isDirty ? displayNameProblem(value) : undefined;
	const save = useMutation({
		mutationFn: (name: string) => call("patch", "/api/user", { body: { display_name: name } }),
		onSuccess: (saved, sent) => {
			queries.setQueryData(userQuery.queryKey, saved);
			setTyped((now) => (now === sent ? undefined : now));
			toast.success("Display name saved");
		},
	});
	const refused = hasCode(save.error, "invalid_request");
	const failure = save.isError ? explain(save.error) : undefined;
	return (
		<CategorySection
			title="Display Name"
			description="How your name appears in Leger"
			isDirty={isDirty}
			saving={save.isPending}
			error={refused ? undefined : failure}
			onSave={() => {
				if (problem === undefined) save.mutate(value);
			}}
			onDiscard={() => {
				setTyped(undefined);
				save.reset();
			}}
		>
			<FieldGroup>
				<TextField
					label="Display Name"
					value={value}
					onChange={(text) => {
						setTyped(text);
						if (!save.isPending) save.reset();
					}}
					error={problem ?? (refused ? failure : undefined)}
					maxLength={32}
					showCharCount
				/>
			</FieldGroup>
		</CategorySection>
	);
}
