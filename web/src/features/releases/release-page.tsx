import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { Controller, useWatch } from "react-hook-form";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { auditQuery, installedQuery, type Release, releaseQuery, releasesQuery } from "#api/queries.ts";
import { Button, buttonClass } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { FieldGroup, TextArea, TextField, URLInput } from "#ui/fields.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { EmptyState, ErrorState, SkeletonRows } from "#ui/states.tsx";
import { toast } from "#ui/toaster.tsx";
import { forgetUnsaved } from "#ui/unsaved.ts";
import { DeleteReleaseDialog } from "./delete-release-dialog.tsx";
import { DeployCommand } from "./deploy-command.tsx";
import { ReleaseConflictDialog } from "./release-conflict-dialog.tsx";
import { fieldNames, fieldsOf, type ReleaseFields, useReleaseForm } from "./release-form.ts";
import { ReleaseHistory } from "./release-history.tsx";
import { releaseNameProblem } from "./release-rules.ts";
import { RunningOn } from "./running-on.tsx";

const description = "Configure your quadlet deployment source";

export function NewReleasePage() {
	return (
		<PageLayout>
			<PageHeader title="Create Release" description={description} />
			<ReleaseEditor release={undefined} />
		</PageLayout>
	);
}

export function ReleasePage() {
	const { id } = useParams({ from: "/shell/releases/$id" });
	const navigate = useNavigate();
	const release = useQuery(releaseQuery(id));
	const [deleting, setDeleting] = useState(false);
	const gone = hasCode(release.error, "not_found") || hasCode(release.error, "invalid_request");
	if (release.data === undefined && gone) {
		return (
			<PageLayout>
				<PageHeader title="Edit Release" />
				<EmptyState
					title="There is no such release"
					action={
						<Link to="/releases" className={buttonClass()}>
							Go to the releases
						</Link>
					}
				>
					<p>It may have been deleted, or the address is mistyped.</p>
				</EmptyState>
			</PageLayout>
		);
	}
	return (
		<PageLayout>
			<PageHeader
				title="Edit Release"
				description={
					release.data === undefined ? description : `${release.data.name}, version ${release.data.version}`
				}
				action={
					release.data && (
						<Button onClick={() => setDeleting(true)}>
							<Trash2 className="size-4" aria-hidden />
							Delete
						</Button>
					)
				}
			/>
			{release.data !== undefined ? (
				<ReleaseEditor key={id} release={release.data} />
			) : release.isError ? (
				<ErrorState
					title="The release could not be loaded"
					message={explain(release.error)}
					onRetry={() => void release.refetch()}
					retrying={release.isFetching}
				/>
			) : (
				<SkeletonRows rows={4} />
			)}
			{deleting && release.data !== undefined && (
				<DeleteReleaseDialog
					release={release.data}
					onClose={() => setDeleting(false)}
					onDeleted={() => {
						forgetUnsaved();
						void navigate({ to: "/releases", replace: true });
					}}
				/>
			)}
		</PageLayout>
	);
}

function ReleaseEditor({ release }: { release: Release | undefined }) {
	const queries = useQueryClient();
	const navigate = useNavigate();
	const hosts = useQuery(installedQuery).data ?? [];
	const form = useReleaseForm(release);
	const { isDirty, isSubmitting } = form.formState;
	const [base, setBase] = useState(release?.version);
	const [error, setError] = useState<string>();
	const [theirs, setTheirs] = useState<Release>();
	const name = useWatch({ control: form.control, name: "name" });
	const moved = release !== undefined && base !== undefined && release.version > base;

	// Somebody else's edit is taken over at once where nothing was typed.
	useEffect(() => {
		if (release === undefined || !moved || isDirty) return;
		form.reset(fieldsOf(release));
		setBase(release.version);
	}, [release, moved, isDirty, form]);

	async function write(fields: ReleaseFields, ifMatch: number | undefined): Promise<void> {
		if (release === undefined) {
			await call("post", "/api/releases", { body: fields });
			return;
		}
		const changed = Object.fromEntries(
			fieldNames.filter((field) => fields[field] !== release[field]).map((field) => [field, fields[field]]),
		);
		await call("put", "/api/releases/{id}", { params: { id: release.id }, body: changed, ifMatch });
	}

	async function showTheirs(id: string): Promise<void> {
		try {
			setTheirs(await queries.fetchQuery({ ...releaseQuery(id), staleTime: 0 }));
		} catch (failure) {
			setError(explain(failure));
		}
	}

	async function save(fields: ReleaseFields, ifMatch: number | undefined): Promise<void> {
		setError(undefined);
		try {
			await write(fields, ifMatch);
		} catch (failure) {
			const field = fieldNames.find(
				(known) =>
					known ===
					(hasCode(failure, "conflict") || hasCode(failure, "invalid_request") ? failure.field : undefined),
			);
			if (field !== undefined) form.setError(field, { message: explain(failure) }, { shouldFocus: true });
			else if (hasCode(failure, "conflict") && release !== undefined) {
				await showTheirs(release.id);
			} else setError(explain(failure));
			return;
		}
		toast.success("Release saved", { description: fields.name });
		void queries.invalidateQueries({ queryKey: releasesQuery.queryKey });
		void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		forgetUnsaved();
		await navigate({ to: "/releases" });
	}

	return (
		<>
			<CategorySection
				title="Release Information"
				description="The server never contacts the repository; the machines that deploy it do."
				isDirty={isDirty}
				saving={isSubmitting}
				error={
					error ??
					(moved && isDirty
						? `Somebody saved version ${release.version} meanwhile. Saving shows both.`
						: undefined)
				}
				onSave={() => void form.handleSubmit((fields) => save(fields, base))()}
				onDiscard={() => {
					form.reset();
					setError(undefined);
				}}
				alwaysSave
			>
				<FieldGroup>
					<Controller
						control={form.control}
						name="name"
						render={({ field, fieldState }) => (
							<TextField
								{...field}
								label="Release Name"
								description="Unique identifier for this release"
								error={fieldState.error?.message}
								mono
							/>
						)}
					/>
					<Controller
						control={form.control}
						name="git_url"
						render={({ field, fieldState }) => (
							<URLInput
								{...field}
								label="Git Repository URL"
								description="GitHub, GitLab, or other git repository"
								placeholder="https://github.com/username/repo"
								error={fieldState.error?.message}
							/>
						)}
					/>
					<div className="grid gap-4 sm:grid-cols-2">
						<Controller
							control={form.control}
							name="git_branch"
							render={({ field, fieldState }) => (
								<TextField
									{...field}
									label="Git Branch"
									description="Branch or tag to clone (default: main)"
									placeholder="main"
									error={fieldState.error?.message}
									mono
								/>
							)}
						/>
						<Controller
							control={form.control}
							name="git_path"
							render={({ field, fieldState }) => (
								<TextField
									{...field}
									label="Path"
									description="Subdirectory with the quadlets"
									error={fieldState.error?.message}
									mono
									optional
								/>
							)}
						/>
					</div>
					<Controller
						control={form.control}
						name="description"
						render={({ field, fieldState }) => (
							<TextArea
								{...field}
								label="Description"
								description="Optional description of this release"
								error={fieldState.error?.message}
								maxLength={500}
								rows={3}
								optional
							/>
						)}
					/>
				</FieldGroup>
			</CategorySection>
			<DeployCommand release={releaseNameProblem(name) === undefined ? name : ""} />
			{release !== undefined && (
				<>
					<CategorySection title="Machines" description="Where it runs, as they last reported">
						<RunningOn release={release.name} hosts={hosts} />
					</CategorySection>
					<ReleaseHistory
						release={release}
						onUse={(fields) => {
							for (const field of fieldNames)
								form.setValue(field, fields[field], { shouldDirty: true, shouldValidate: true });
							form.setFocus("name");
						}}
					/>
				</>
			)}
			{theirs !== undefined && (
				<ReleaseConflictDialog
					mine={form.getValues()}
					theirs={theirs}
					onClose={() => setTheirs(undefined)}
					onKeepMine={() => {
						const latest = theirs.version;
						setTheirs(undefined);
						setBase(latest);
						void form.handleSubmit((fields) => save(fields, latest))();
					}}
					onTakeTheirs={() => {
						form.reset(fieldsOf(theirs));
						setBase(theirs.version);
						setTheirs(undefined);
					}}
				/>
			)}
		</>
	);
}
