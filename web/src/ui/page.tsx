import { type ReactNode, useEffect, useRef } from "react";

export function PageLayout({ children }: { children: ReactNode }) {
	return <div className="mx-auto w-full max-w-5xl px-4 pb-24 sm:px-8">{children}</div>;
}

/** For when what had the focus is gone. */
export function focusHeading(): void {
	document.querySelector<HTMLElement>("h1")?.focus();
}

interface HeaderProps {
	title: string;
	description?: ReactNode;
	action?: ReactNode;
}

let navigated = false;

/** Also names the tab, and takes the focus so that a screen reader says where it is now. */
export function PageHeader({ title, description, action }: HeaderProps) {
	const heading = useRef<HTMLHeadingElement>(null);
	useEffect(() => {
		document.title = `${title} · Leger`;
	}, [title]);
	useEffect(() => {
		// Where the browser loaded the page, it begins at the top, with the skip link.
		if (!navigated) {
			navigated = true;
			return;
		}
		const focused = document.activeElement;
		if (focused === null || focused === document.body || focused.closest("nav")) {
			heading.current?.focus({ preventScroll: true });
		}
	}, []);
	return (
		<header className="flex flex-wrap items-end justify-between gap-x-6 gap-y-3 border-b border-line pt-8 pb-5">
			<div className="min-w-0">
				<h1 ref={heading} tabIndex={-1} className="text-xl font-semibold tracking-tight break-words">
					{title}
				</h1>
				{description && <p className="mt-0.5 text-muted">{description}</p>}
			</div>
			{action && <div className="flex flex-wrap gap-2">{action}</div>}
		</header>
	);
}
