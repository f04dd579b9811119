import { CopyButton } from "./copy-button.tsx";

/** A command line for a terminal, with a button that copies it. */
export function Command({ text }: { text: string }) {
	return (
		<div className="flex items-center gap-2 rounded-md border border-line bg-raised py-1.5 pr-1.5 pl-3">
			<code className="min-w-0 flex-1 overflow-wrap-anywhere font-mono text-sm break-words select-all">
				{text}
			</code>
			<CopyButton text={text} what="command" small />
		</div>
	);
}
