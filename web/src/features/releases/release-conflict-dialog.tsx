import type { Release } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { Time } from "#ui/time.tsx";
import { fieldLabels, fieldNames, type ReleaseFields } from "./release-form.ts";

interface Props {
	mine: ReleaseFields;
	theirs: Release;
	onKeepMine: () => void;
	onTakeTheirs: () => void;
	onClose: () => void;
}

/** Somebody saved the release while it was edited here: shows both, and asks. */
export function ReleaseConflictDialog({ mine, theirs, onKeepMine, onTakeTheirs, onClose }: Props) {
	const differing = fieldNames.filter((name) => mine[name] !== theirs[name]);
	return (
		<Dialog
			title="This release was changed meanwhile"
			description={
				<>
					Version {theirs.version} was saved <Time at={theirs.updated_at} />, while you were editing. Which
					one is to stay?
				</>
			}
			wide
			onClose={onClose}
			footer={
				<>
					<Button onClick={onTakeTheirs}>Take theirs</Button>
					<Button variant="primary" onClick={onKeepMine}>
						Save mine over it
					</Button>
				</>
			}
		>
			{differing.length === 0 ? (
				<p>Both are the same by now.</p>
			) : (
				<table className="w-full table-fixed text-left align-top">
					<thead className="text-sm text-muted">
						<tr>
							<th scope="col" className="pr-4 pb-1.5 font-normal">
								Theirs
							</th>
							<th scope="col" className="pb-1.5 font-normal">
								Yours
							</th>
						</tr>
					</thead>
					{differing.map((name) => (
						<tbody key={name} className="border-t border-line last:border-b">
							<tr>
								<th colSpan={2} scope="rowgroup" className="pt-2 text-sm font-medium">
									{fieldLabels[name]}
								</th>
							</tr>
							<tr>
								<Side text={theirs[name]} />
								<Side text={mine[name]} />
							</tr>
						</tbody>
					))}
				</table>
			)}
		</Dialog>
	);
}

function Side({ text }: { text: string }) {
	return (
		<td className="pt-0.5 pr-4 pb-2 align-top break-words whitespace-pre-wrap last:pr-0">
			{text === "" ? <span className="text-muted">nothing</span> : text}
		</td>
	);
}
