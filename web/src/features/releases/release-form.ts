import { zodResolver } from "@hookform/resolvers/zod";
import { useForm } from "react-hook-form";
import * as z from "zod/mini";
import type { Release } from "#api/queries.ts";
import {
	descriptionProblem,
	gitBranchProblem,
	gitPathProblem,
	gitUrlProblem,
	releaseNameProblem,
} from "./release-rules.ts";

// zod would compile its checks with eval, which the content security policy forbids.
z.config({ jitless: true });

const text = (problem: (text: string) => string | undefined) =>
	z.string().check((context) => {
		const message = problem(context.value);
		if (message !== undefined) context.issues.push({ code: "custom", message, input: context.value });
	});

const schema = z.object({
	name: text(releaseNameProblem),
	git_url: text(gitUrlProblem),
	git_branch: text(gitBranchProblem),
	git_path: text(gitPathProblem),
	description: text(descriptionProblem),
});

export type ReleaseFields = z.infer<typeof schema>;

export const fieldNames = ["name", "git_url", "git_branch", "git_path", "description"] as const;

export const fieldLabels: Record<keyof ReleaseFields, string> = {
	name: "Name",
	git_url: "Git URL",
	git_branch: "Branch",
	git_path: "Path",
	description: "Description",
};

export function fieldsOf(release: ReleaseFields): ReleaseFields {
	const { name, git_url, git_branch, git_path, description } = release;
	return { name, git_url, git_branch, git_path, description };
}

export function useReleaseForm(release: Release | undefined) {
	return useForm<ReleaseFields>({
		resolver: zodResolver(schema),
		mode: "onTouched",
		defaultValues:
			release === undefined
				? { name: "", git_url: "", git_branch: "", git_path: "", description: "" }
				: fieldsOf(release),
	});
}
