import { useQuery } from "@tanstack/react-query";
import { signInMethodsQuery } from "#api/queries.ts";
import { Command } from "#ui/command.tsx";
import { TailnetSignIn } from "./tailnet-sign-in.tsx";

/**
 * How one signs in here, which the server decides. Until it has answered, what is
 * right at every server: the command asks the server, too.
 */
export function HowToSignIn({ children }: { children: string }) {
	const { data: accepted } = useQuery(signInMethodsQuery);
	const tailnet = accepted?.includes("tailnet") === true;
	if (accepted !== undefined && !tailnet && !accepted.includes("shared-secret")) {
		return (
			<p className="text-muted">
				This server asks you to sign in by {accepted.join(" or ")}, which this page does not know. Reload it
				to get the newest one.
			</p>
		);
	}
	return (
		<>
			{tailnet && <TailnetSignIn />}
			<p className="text-muted">
				{tailnet ? "Where Tailscale is not at hand, run this on a machine that is signed in:" : children}
			</p>
			<Command text="leger auth login" />
		</>
	);
}
