import { CircleAlert, LoaderCircle } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "./button.tsx";

interface EmptyProps {
	title: string;
	children?: ReactNode;
	action?: ReactNode;
}

/** What a page says when there is nothing yet: what this is for, and how to begin. */
export function EmptyState({ title, children, action }: EmptyProps) {
	return (
		<div className="mx-auto flex max-w-md flex-col items-center gap-3 py-16 text-center">
			<h2 className="text-lg font-semibold">{title}</h2>
			{children && <div className="flex w-full flex-col gap-3 text-muted">{children}</div>}
			{action}
		</div>
	);
}

interface ErrorProps {
	title: string;
	message: string;
	onRetry: () => void;
	retrying?: boolean;
}

export function ErrorState({ title, message, onRetry, retrying = false }: ErrorProps) {
	return (
		<div role="alert" className="mx-auto flex max-w-md flex-col items-center gap-3 py-16 text-center">
			<CircleAlert className="size-5 text-danger" aria-hidden />
			<h2 className="text-lg font-semibold">{title}</h2>
			<p className="text-muted">{message}</p>
			<Button onClick={onRetry} busy={retrying}>
				Try again
			</Button>
		</div>
	);
}

/** Stands where rows will be. */
export function SkeletonRows({ rows = 4 }: { rows?: number }) {
	return (
		<div role="status" className="flex flex-col gap-6 py-6">
			<span className="sr-only">Loading…</span>
			{Array.from({ length: rows }, (_, row) => (
				// biome-ignore lint/suspicious/noArrayIndexKey: rows without identity
				<div key={row} className="grid gap-4 lg:grid-cols-[14rem_minmax(0,1fr)]" aria-hidden>
					<div className="shimmer h-5 w-28" />
					<div className="shimmer h-8 w-full" />
				</div>
			))}
		</div>
	);
}

export function Spinner({ label }: { label: string }) {
	return (
		<p role="status" className="flex items-center justify-center gap-2 text-muted">
			<LoaderCircle className="size-4 animate-spin" aria-hidden />
			{label}
		</p>
	);
}
