import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { onTabMessage } from "#api/status.ts";
import { Frame } from "./frame.tsx";
import { HowToSignIn } from "./how-to-sign-in.tsx";
import { rememberPage } from "./return-to.ts";

/** Stands in the place of a page that needs a session; the address stays as it was. */
export function SignedOutPage() {
	useEffect(() => {
		document.title = "Signed out · Leger";
		rememberPage(location.pathname + location.search, Date.now());
	}, []);
	const navigate = useNavigate();
	useEffect(
		() =>
			onTabMessage((message) => {
				const own = location.pathname === "/signed-out"; // elsewhere the page that was asked for comes back
				if (message === "signed-in" && own) void navigate({ to: "/api-keys", replace: true });
			}),
		[navigate],
	);
	return (
		<Frame>
			<h1 className="text-xl font-semibold tracking-tight">You are signed out</h1>
			<HowToSignIn>
				To sign in, run this on a machine of your tailnet. It opens a link in your browser.
			</HowToSignIn>
			<p className="text-sm text-muted">This page goes on by itself once you are signed in.</p>
		</Frame>
	);
}
