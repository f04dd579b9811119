import { Fragment } from "react";
import { CopyButton } from "./copy-button.tsx";

/** A command line for a terminal, with a button that copies it. */
export function Command({ text }: { text: string }) {
	return (
		<div className="flex items-center gap-2 rounded-md border border-line bg-raised py-1.5 pr-1.5 pl-3 text-left">
			<code className="min-w-0 flex-1 font-mono text-sm select-all">
				<CommandWords text={text} />
			</code>
			<CopyButton text={text} what="command" small />
		</div>
	);
}

/** A command that breaks between its words, never at the hyphens of an option. */
export function CommandWords({ text }: { text: string }) {
	return text.split(" ").map((word, at) => (
		// biome-ignore lint/suspicious/noArrayIndexKey: words have no other identity
		<Fragment key={at}>
			{at > 0 && " "}
			<span className="inline-block max-w-full break-words">{word}</span>
		</Fragment>
	));
}
