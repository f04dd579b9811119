import { type ReactNode, useEffect, useRef } from "react";

export function PageLayout({ children }: { children: ReactNode }) {
	return <div className="mx-auto w-full max-w-5xl px-4 pb-24 sm:px-8">{children}</div>;
}

interface HeaderProps {
	title: string;
	description?: ReactNode;
	action?: ReactNode;
}

/** Also names the tab, and takes the focus so that a screen reader says where it is now. */
export function PageHeader({ title, description, action }: HeaderProps) {
	const heading = useRef<HTMLHeadingElement>(null);
	useEffect(() => {
		document.title = `${title} · Leger`;
	}, [title]);
	useEffect(() => {
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
