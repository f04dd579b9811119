import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { tellTabs } from "#api/status.ts";
import { Button } from "#ui/button.tsx";
import { takePage } from "./return-to.ts";

/** One click: the server asks its own Tailscale whose device this is. */
export function TailnetSignIn() {
	const navigate = useNavigate();
	const queries = useQueryClient();
	const signIn = useMutation({
		mutationFn: () => call("post", "/api/auth/tailnet"),
		onSuccess: async () => {
			tellTabs("signed-in");
			await queries.resetQueries(); // the page behind this one is drawn anew
			await navigate({ href: takePage(Date.now()), replace: true });
		},
	});
	return (
		<div className="flex flex-col items-start gap-3">
			<Button variant="primary" busy={signIn.isPending} onClick={() => signIn.mutate()}>
				Sign in with Tailscale
			</Button>
			{signIn.isError && (
				<p role="alert" className="text-danger">
					{hasCode(signIn.error, "unavailable")
						? "The server's own Tailscale does not answer. Try again in a moment."
						: explain(signIn.error)}
				</p>
			)}
		</div>
	);
}
