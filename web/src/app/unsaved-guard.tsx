import { useBlocker } from "@tanstack/react-router";
import { Button } from "#ui/button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { hasUnsaved, useUnsavedTitles } from "#ui/unsaved.ts";

/** Asks before a page with unsaved changes is left, whatever way it is left. */
export function UnsavedGuard() {
	const titles = useUnsavedTitles();
	const blocker = useBlocker({
		shouldBlockFn: ({ current, next }) => hasUnsaved() && current.pathname !== next.pathname,
		enableBeforeUnload: hasUnsaved,
		withResolver: true,
	});
	if (blocker.status !== "blocked") return null;
	return (
		<Dialog
			title="Leave without saving?"
			description={`What you typed for ${titles.join(", ")} is not saved and would be lost.`}
			onClose={blocker.reset}
			footer={
				<>
					<Button variant="danger" onClick={blocker.proceed}>
						Leave
					</Button>
					<Button variant="primary" onClick={blocker.reset} data-first>
						Stay here
					</Button>
				</>
			}
		/>
	);
}
