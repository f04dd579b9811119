import { ExternalLink } from "lucide-react";
import type { HostSummary, Secret } from "#api/queries.ts";
import { CategorySection } from "#ui/category-section.tsx";
import { FieldGroup } from "#ui/fields.tsx";
import { ConflictDialog } from "./conflict-dialog.tsx";
import { useDrafts } from "./drafts.ts";
import type { Provider } from "./providers.ts";
import { SecretRow } from "./secret-row.tsx";

interface Props {
	provider: Provider;
	secrets: ReadonlyMap<string, Secret>;
	hosts: readonly HostSummary[];
}

export function ProviderSection({ provider, secrets, hosts }: Props) {
	const drafts = useDrafts(provider.title, secrets);
	return (
		<CategorySection
			title={provider.title}
			description={provider.description}
			aside={
				<a
					href={provider.url}
					target="_blank"
					rel="noreferrer noopener"
					className="inline-flex items-center gap-1 rounded text-accent underline-offset-4 hover:underline"
				>
					Get a key<span className="sr-only"> for {provider.title} (opens a new tab)</span>
					<ExternalLink className="size-3.5" aria-hidden />
				</a>
			}
			isDirty={drafts.isDirty}
			saving={drafts.saving}
			error={drafts.error}
			onSave={() => void drafts.save()}
			onDiscard={drafts.dropAll}
		>
			<FieldGroup>
				{provider.fields.map((field) => (
					<SecretRow
						key={field.secret}
						name={field.secret}
						label={field.label}
						field={field}
						secret={secrets.get(field.secret)}
						drafts={drafts}
						hosts={hosts}
						section={provider.title}
					/>
				))}
			</FieldGroup>
			<ConflictDialog drafts={drafts} secrets={secrets} />
		</CategorySection>
	);
}
