import { CommandWords } from "#ui/command.tsx";
import { CopyButton } from "#ui/copy-button.tsx";

export function deployCommand(release: string): string {
	return `leger deploy install --release ${release}`;
}

/** What to type on the machine that is to run it. */
export function DeployCommand({ release }: { release: string }) {
	const command = deployCommand(release || "release-name");
	return (
		<section
			aria-labelledby="deploy-command"
			className="my-6 grid gap-x-10 gap-y-3 rounded-lg border border-accent/30 bg-accent-soft p-4 lg:grid-cols-[13rem_minmax(0,1fr)]"
		>
			<div>
				<h2 id="deploy-command" className="font-semibold">
					Deploy Command
				</h2>
				<p className="mt-0.5 text-sm text-muted">Type this on the machine that is to run it.</p>
			</div>
			<div className="flex flex-wrap items-center gap-2">
				<code className="min-w-0 flex-1 basis-60 rounded-md bg-canvas px-3 py-1.5 font-mono text-sm">
					<span className="text-muted select-none">$ </span>
					<CommandWords text={command} />
				</code>
				<CopyButton text={command} what="Deploy command" label="Copy Command" />
			</div>
		</section>
	);
}
