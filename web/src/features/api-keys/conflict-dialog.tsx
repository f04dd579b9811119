import type { Secret } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { Time } from "#ui/time.tsx";
import type { Drafts } from "./drafts.ts";

/** Shows both sides when somebody saved a secret while another value was typed here. */
export function ConflictDialog({
	drafts,
	secrets,
}: {
	drafts: Drafts;
	secrets: ReadonlyMap<string, Secret>;
}) {
	const { conflict } = drafts;
	if (conflict === undefined) return null;
	const { name, current } = conflict;
	const draft = drafts.of(name);
	const stored = secrets.get(name);
	const base = draft?.base ?? 0;
	const happened = current === undefined ? "deleted" : base === 0 ? "set" : "changed";
	return (
		<Dialog
			title={`${name} was ${happened} meanwhile`}
			description="Another tab or machine was faster. Which one is to stay?"
			onClose={drafts.ignoreConflict}
			footer={
				<>
					<Button
						onClick={() => {
							drafts.drop(name);
							drafts.ignoreConflict();
						}}
					>
						{current === undefined ? "Leave it deleted" : "Keep what is stored"}
					</Button>
					<Button variant="primary" onClick={() => void drafts.overwrite(name)}>
						{current === undefined ? "Make it again with mine" : "Replace it with mine"}
					</Button>
				</>
			}
		>
			<dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-2">
				<dt className="text-muted">Stored</dt>
				<dd>
					{current === undefined ? (
						"nothing: it was deleted"
					) : (
						<>
							version {current}
							{stored?.version === current && (
								<>
									, saved <Time at={stored.updated_at} />
								</>
							)}
						</>
					)}
				</dd>
				<dt className="text-muted">Yours</dt>
				<dd>
					{draft?.value.length ?? 0} characters,{" "}
					{base === 0 ? "typed while nothing was stored" : `typed over version ${base}`}
				</dd>
			</dl>
		</Dialog>
	);
}
