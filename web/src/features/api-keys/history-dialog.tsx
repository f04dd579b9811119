import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { auditQuery, type Secret, secretsQuery, secretVersionsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { ErrorState, Spinner } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { toast } from "#ui/toaster.tsx";

/** The versions of one secret. Their values stay on the server; one can be brought back. */
export function HistoryDialog({ secret, onClose }: { secret: Secret; onClose: () => void }) {
	const queries = useQueryClient();
	const { name } = secret;
	const versions = useQuery(secretVersionsQuery(name));
	const current = versions.data?.find((version) => version.current)?.version;
	const restore = useMutation({
		mutationFn: (version: number) =>
			call("post", "/api/secrets/{name}/restore", { params: { name }, body: { version }, ifMatch: current }),
		onSuccess: (written, version) => {
			toast.success(
				written.changed
					? `Version ${version} of ${name} is back, as version ${written.version}`
					: `${name} has the value of version ${version} already`,
			);
			onClose();
		},
		// The row goes with the secret, and this dialog with the row.
		onError: (failure) => hasCode(failure, "not_found") && toast.error(explain(failure)),
		onSettled: () => {
			void queries.invalidateQueries({ queryKey: secretsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: secretVersionsQuery(name).queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});
	return (
		<Dialog
			title={`History of ${name}`}
			description="The newest 20 versions are kept. Restoring one makes it the newest; nothing is lost."
			onClose={onClose}
		>
			{restore.isError && (
				<p role="alert" className="mb-3 text-danger">
					{hasCode(restore.error, "conflict")
						? "Somebody gave it a new value meanwhile. The list below is up to date now; restore again if you still want to."
						: explain(restore.error)}
				</p>
			)}
			{versions.data !== undefined ? (
				<ol className="divide-y divide-line border-y border-line">
					{versions.data.map((version) => (
						<li key={version.version} className="flex min-h-11 items-center justify-between gap-4 py-1.5">
							<span>
								Version {version.version}
								<span className="text-sm text-muted">
									{" "}
									· <Time at={version.created_at} />
								</span>
							</span>
							{version.current ? (
								<span className="px-2 text-sm text-accent">Current</span>
							) : (
								<Button
									small
									aria-label={`Restore version ${version.version}`}
									busy={restore.isPending && restore.variables === version.version}
									disabled={restore.isPending && restore.variables !== version.version}
									onClick={() => restore.mutate(version.version)}
								>
									Restore
								</Button>
							)}
						</li>
					))}
				</ol>
			) : versions.isError ? (
				<ErrorState
					title="The history could not be loaded"
					message={explain(versions.error)}
					onRetry={() => void versions.refetch()}
					retrying={versions.isFetching}
				/>
			) : (
				<Spinner label="Loading the history…" />
			)}
		</Dialog>
	);
}
