import type { HostSummary, Secret } from "#api/queries.ts";
import { CategorySection } from "#ui/category-section.tsx";
import { ConflictDialog } from "./conflict-dialog.tsx";
import { useDrafts } from "./drafts.ts";
import { SecretRow } from "./secret-row.tsx";

interface Props {
	secrets: ReadonlyMap<string, Secret>;
	/** All custom secrets; those that `matches` leaves out are hidden, not forgotten. */
	names: readonly string[];
	matches: (name: string) => boolean;
	hosts: readonly HostSummary[];
}

export function CustomSection({ secrets, names, matches, hosts }: Props) {
	const drafts = useDrafts("Custom secrets", secrets);
	if (names.length === 0) return null;
	return (
		<CategorySection
			title="Custom secrets"
			description={
				names.length === 1
					? "1 secret with a name of its own"
					: `${names.length} secrets with names of their own`
			}
			isDirty={drafts.isDirty}
			saving={drafts.saving}
			error={drafts.error}
			onSave={() => void drafts.save()}
			onDiscard={drafts.dropAll}
		>
			<ul className="-my-3 divide-y divide-line">
				{names.map((name) => (
					<li key={name} className="lazy-row py-3" hidden={!matches(name)}>
						<SecretRow
							name={name}
							label={name}
							secret={secrets.get(name)}
							drafts={drafts}
							hosts={hosts}
							section="Custom secrets"
						/>
					</li>
				))}
			</ul>
			<ConflictDialog drafts={drafts} secrets={secrets} />
		</CategorySection>
	);
}
