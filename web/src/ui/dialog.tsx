import { X } from "lucide-react";
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { Button } from "./button.tsx";
import { cx } from "./cx.ts";

interface Props {
	title: string;
	description?: ReactNode;
	children?: ReactNode;
	/** Buttons, the one that does it last. */
	footer?: ReactNode;
	wide?: boolean;
	onClose: () => void;
}

/**
 * A modal dialog, open for as long as it is rendered. The browser's own <dialog>
 * keeps the focus inside, closes on Escape and gives the focus back.
 */
export function Dialog({ title, description, children, footer, wide = false, onClose }: Props) {
	const id = useId();
	const ref = useRef<HTMLDialogElement>(null);
	useLayoutEffect(() => {
		const dialog = ref.current;
		dialog?.showModal();
		// React's autoFocus comes too early: nothing in a closed dialog takes the focus.
		dialog?.querySelector<HTMLElement>("[data-first]")?.focus();
		return () => dialog?.close();
	}, []);
	return (
		<dialog
			ref={ref}
			aria-labelledby={`${id}-title`}
			aria-describedby={description ? `${id}-description` : undefined}
			onCancel={(event) => {
				event.preventDefault();
				onClose();
			}}
			className={cx(
				"m-auto max-h-[calc(100dvh-2rem)] w-[calc(100vw-2rem)] flex-col rounded-xl border border-line bg-surface p-0 text-ink shadow-xl open:flex",
				wide ? "max-w-2xl" : "max-w-md",
			)}
		>
			<div className="px-5 pt-4 pb-3">
				<div className="flex items-start gap-4">
					<h2 id={`${id}-title`} className="min-w-0 flex-1 text-lg font-semibold break-words">
						{title}
					</h2>
					<Button variant="ghost" icon small className="-mt-0.5 -mr-1.5" aria-label="Close" onClick={onClose}>
						<X className="size-4" aria-hidden />
					</Button>
				</div>
				{description && (
					<div id={`${id}-description`} className="mt-1 text-pretty text-muted">
						{description}
					</div>
				)}
			</div>
			{children && <div className="min-h-0 overflow-y-auto px-5 pb-4">{children}</div>}
			{footer && (
				<div className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-3">{footer}</div>
			)}
		</dialog>
	);
}
