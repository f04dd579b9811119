import { useQuery } from "@tanstack/react-query";
import { explain } from "#api/error.ts";
import { type Release, type ReleaseVersion, releaseVersionsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { Spinner } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { fieldLabels, fieldNames, fieldsOf, type ReleaseFields } from "./release-form.ts";

interface Props {
	release: Release;
	/** Puts an old version's fields into the form, to be looked at and saved. */
	onUse: (fields: ReleaseFields) => void;
}

export function ReleaseHistory({ release, onUse }: Props) {
	const versions = useQuery(releaseVersionsQuery(release.id));
	return (
		<CategorySection title="History" description="What it was at each version">
			{versions.data !== undefined ? (
				<ol className="divide-y divide-line border-y border-line">
					{versions.data.map((version, at) => (
						<li key={version.version} className="flex items-center justify-between gap-4 py-2">
							<div className="min-w-0">
								<p>
									Version {version.version}
									<span className="text-sm text-muted">
										{" "}
										· <Time at={version.created_at} />
									</span>
								</p>
								<p className="text-sm break-words text-muted">{difference(version, versions.data[at + 1])}</p>
							</div>
							{version.version !== release.version && (
								<Button
									small
									aria-label={`Use version ${version.version}`}
									onClick={() => onUse(fieldsOf(version))}
								>
									Use
								</Button>
							)}
						</li>
					))}
				</ol>
			) : versions.isError ? (
				<p role="alert" className="flex flex-wrap items-center gap-3 text-danger">
					{explain(versions.error)}
					<Button small onClick={() => void versions.refetch()}>
						Try again
					</Button>
				</p>
			) : (
				<Spinner label="Loading the history…" />
			)}
		</CategorySection>
	);
}

function difference(version: ReleaseVersion, before: ReleaseVersion | undefined): string {
	if (before === undefined) return "Created";
	const changed = fieldNames.filter((name) => version[name] !== before[name]);
	return changed.map((name) => `${fieldLabels[name]}: ${version[name] || "(empty)"}`).join(" · ");
}
