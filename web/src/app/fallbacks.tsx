import { type ErrorComponentProps, Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { Frame } from "#features/auth/frame.tsx";
import { buttonClass } from "#ui/button.tsx";
import { cx } from "#ui/cx.ts";
import { ErrorState } from "#ui/states.tsx";

export function NotFoundPage() {
	useEffect(() => {
		document.title = "Not found · Leger";
	}, []);
	return (
		<Frame>
			<div className="flex flex-col gap-1">
				<h1 className="text-xl font-semibold tracking-tight">There is no such page</h1>
				<p className="text-muted">The address may be mistyped, or what it showed was deleted.</p>
			</div>
			<Link to="/api-keys" className={cx(buttonClass(), "self-start")}>
				Go to API keys
			</Link>
		</Frame>
	);
}

/** A page that could not be loaded, as after the server was upgraded, or that broke. */
export function PageFailure({ error }: ErrorComponentProps) {
	const missing = /dynamically imported module|preload/i.test(String(error));
	return (
		<main>
			<ErrorState
				title={missing ? "This page could not be loaded" : "This page broke"}
				message={
					missing
						? "The server may have been upgraded, or does not answer. Reload to go on."
						: "This is a mistake in Leger, not yours. Reload to go on."
				}
				onRetry={() => location.reload()}
			/>
		</main>
	);
}
