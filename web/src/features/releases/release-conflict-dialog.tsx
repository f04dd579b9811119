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
			<div className="overflow-x-auto">
				<table className="w-full text-left">
					<thead className="text-sm text-muted">
						<tr>
							<th scope="col" className="py-1.5 pr-4 font-normal">
								Field
							</th>
							<th scope="col" className="py-1.5 pr-4 font-normal">
								Theirs
							</th>
							<th scope="col" className="py-1.5 font-normal">
								Yours
							</th>
						</tr>
					</thead>
					<tbody className="divide-y divide-line border-y border-line align-top">
						{differing.map((name) => (
							<tr key={name}>
								<th scope="row" className="py-2 pr-4 text-sm font-medium">
									{fieldLabels[name]}
								</th>
								<td className="min-w-32 py-2 pr-4 break-all whitespace-pre-wrap">
									{theirs[name] || "(empty)"}
								</td>
								<td className="min-w-32 py-2 break-all whitespace-pre-wrap">{mine[name] || "(empty)"}</td>
							</tr>
						))}
						{differing.length === 0 && (
							<tr>
								<td colSpan={3} className="py-2">
									Both are the same by now.
								</td>
							</tr>
						)}
					</tbody>
				</table>
			</div>
		</Dialog>
	);
}
