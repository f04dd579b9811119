import { Dialog } from "#ui/dialog.tsx";
import { useSingleKeys } from "#ui/preferences.ts";

const keys = [
	["/", "Search"],
	["n", "New secret or release"],
	["?", "This list"],
	["Ctrl S", "Save what is being edited (⌘ S on a Mac)"],
	["Esc", "Close, or clear the search"],
];

export function HelpDialog({ onClose }: { onClose: () => void }) {
	const [on, setOn] = useSingleKeys();
	return (
		<Dialog title="Keyboard shortcuts" onClose={onClose}>
			<dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-2">
				{keys.map(([key, what]) => (
					<div key={key} className="contents">
						<dt>
							<kbd className="rounded border border-line bg-raised px-1.5 py-0.5 font-mono text-xs">
								{key}
							</kbd>
						</dt>
						<dd className="text-muted">{what}</dd>
					</div>
				))}
			</dl>
			<label className="mt-4 flex min-h-6 items-center gap-2">
				<input
					type="checkbox"
					className="size-4"
					checked={on}
					onChange={(event) => setOn(event.target.checked)}
				/>
				Single keys do something
			</label>
		</Dialog>
	);
}
