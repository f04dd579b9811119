import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useState } from "react";
import { call } from "#api/client.ts";
import { ApiError, explain } from "#api/error.ts";
import { tellTabs } from "#api/status.ts";
import { Button } from "#ui/button.tsx";
import { Spinner } from "#ui/states.tsx";
import { Frame } from "./frame.tsx";
import { forgetLinkToken, linkToken } from "./link-token.ts";
import { takePage } from "./return-to.ts";

let exchange: Promise<unknown> | undefined;

/** One exchange at a time, however often the page is drawn: the token works once. */
function exchangeOnce(token: string): Promise<unknown> {
	exchange ??= call("post", "/api/auth/validate", { token }).finally(() => {
		exchange = undefined;
	});
	return exchange;
}

/** Trades the link's token for a session, then goes to the page first asked for. */
export function AuthPage() {
	const navigate = useNavigate();
	const queries = useQueryClient();
	const [problem, setProblem] = useState<ApiError>();

	const signIn = useCallback(async () => {
		setProblem(undefined);
		const token = linkToken();
		if (token === null) {
			await navigate({ to: "/auth-error", search: { reason: "missing" }, replace: true });
			return;
		}
		try {
			await exchangeOnce(token);
		} catch (error) {
			if (error instanceof ApiError && ["invalid_token", "invalid_request"].includes(error.code)) {
				forgetLinkToken();
				await navigate({ to: "/auth-error", search: { reason: "refused" }, replace: true });
			} else {
				setProblem(error instanceof ApiError ? error : new ApiError("unreadable", String(error)));
			}
			return;
		}
		forgetLinkToken();
		tellTabs("signed-in");
		queries.clear();
		await navigate({ href: takePage(Date.now()), replace: true });
	}, [navigate, queries]);

	useEffect(() => {
		document.title = "Signing in · Leger";
		void signIn();
	}, [signIn]);

	return (
		<Frame>
			<h1 className="text-xl font-semibold tracking-tight">Signing in</h1>
			{problem === undefined ? (
				<Spinner label="Validating authentication…" />
			) : (
				<div role="alert" className="flex flex-col items-start gap-3">
					<p className="text-muted">
						{problem.code === "unreachable"
							? "The server does not answer. The link still works."
							: explain(problem)}
					</p>
					{problem.code !== "forbidden" && (
						<Button variant="primary" onClick={() => void signIn()}>
							Try again
						</Button>
					)}
				</div>
			)}
		</Frame>
	);
}
