import { useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { Frame } from "./frame.tsx";
import { HowToSignIn } from "./how-to-sign-in.tsx";

const reasons = {
	missing: {
		title: "This link is not complete",
		text: "The address has no sign-in token. Perhaps it was copied without its end, or the page was reloaded.",
	},
	refused: {
		title: "This link does not work any more",
		text: "A sign-in link works once and for 2 minutes. This one was used before, is too old, or was not made for this server.",
	},
};

export function AuthErrorPage() {
	const { reason } = useSearch({ strict: false });
	const { title, text } = reasons[reason === "missing" ? "missing" : "refused"];
	useEffect(() => {
		document.title = `${title} · Leger`;
	}, [title]);
	return (
		<Frame>
			<div className="flex flex-col gap-1">
				<h1 className="text-xl font-semibold tracking-tight">{title}</h1>
				<p className="text-muted">{text}</p>
			</div>
			<HowToSignIn>For a new link, run this on a machine of your tailnet:</HowToSignIn>
		</Frame>
	);
}
