import { useQuery } from "@tanstack/react-query";
import { signInMethodsQuery } from "#api/queries.ts";
import { Command } from "#ui/command.tsx";

/**
 * How one signs in here, which the server decides. Until it has answered, what is
 * right at every server so far: the command asks the server, too.
 */
export function HowToSignIn({ children }: { children: string }) {
	const { data: accepted } = useQuery(signInMethodsQuery);
	if (accepted !== undefined && !accepted.includes("shared-secret")) {
		return (
			<p className="text-muted">
				This server asks you to sign in by {accepted.join(" or ")}, which this page does not know. Reload it
				to get the newest one.
			</p>
		);
	}
	return (
		<>
			<p className="text-muted">{children}</p>
			<Command text="leger auth login" />
		</>
	);
}
