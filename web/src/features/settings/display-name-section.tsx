import { zodResolver } from "@hookform/resolvers/zod";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Controller, useForm } from "react-hook-form";
import * as z from "zod/mini";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { type User, userQuery } from "#api/queries.ts";
import { CategorySection } from "#ui/category-section.tsx";
import { FieldGroup, TextField } from "#ui/fields.tsx";
import { toast } from "#ui/toaster.tsx";
import { displayNameProblem } from "./display-name.ts";

z.config({ jitless: true }); // see release-form.ts

const schema = z.object({
	display_name: z.string().check((context) => {
		const message = displayNameProblem(context.value);
		if (message !== undefined) context.issues.push({ code: "custom", message, input: context.value });
	}),
});

export function DisplayNameSection({ user }: { user: User }) {
	const queries = useQueryClient();
	const [error, setError] = useState<string>();
	const form = useForm({
		resolver: zodResolver(schema),
		mode: "onChange",
		values: { display_name: user.display_name ?? "" },
		resetOptions: { keepDirtyValues: true },
	});
	const { isDirty, isSubmitting } = form.formState;

	const save = form.handleSubmit(async ({ display_name }) => {
		setError(undefined);
		try {
			const saved = await call("patch", "/api/user", { body: { display_name } });
			form.reset({ display_name: saved.display_name ?? "" });
			queries.setQueryData(userQuery.queryKey, saved);
			toast.success("Display name saved");
		} catch (failure) {
			if (hasCode(failure, "invalid_request")) form.setError("display_name", { message: explain(failure) });
			else setError(explain(failure));
		}
	});

	return (
		<CategorySection
			title="Display Name"
			description="How your name appears in Leger"
			isDirty={isDirty}
			saving={isSubmitting}
			error={error}
			onSave={() => void save()}
			onDiscard={() => {
				form.reset();
				setError(undefined);
			}}
		>
			<FieldGroup>
				<Controller
					control={form.control}
					name="display_name"
					render={({ field, fieldState }) => (
						<TextField
							{...field}
							label="Display Name"
							error={fieldState.error?.message}
							maxLength={32}
							showCharCount
						/>
					)}
				/>
			</FieldGroup>
		</CategorySection>
	);
}
