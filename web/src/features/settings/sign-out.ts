import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { tellTabs } from "#api/status.ts";
import { toast } from "#ui/toaster.tsx";
import { forgetUnsaved } from "#ui/unsaved.ts";

/** Leaves for the signed-out page, in this tab and the others. */
export function useLeave(): () => Promise<void> {
	const queries = useQueryClient();
	const navigate = useNavigate();
	return async () => {
		forgetUnsaved();
		tellTabs("signed-out");
		await navigate({ to: "/signed-out", replace: true });
		queries.clear();
	};
}

/** Ends the session of this browser. */
export function useSignOut() {
	const leave = useLeave();
	return useMutation({
		mutationFn: async () => {
			const { sessions } = await call("get", "/api/sessions");
			const current = sessions.find((session) => session.current);
			if (current !== undefined) await call("delete", "/api/sessions/{id}", { params: { id: current.id } });
		},
		onSuccess: leave,
		onError: (error) => {
			if (hasCode(error, "invalid_token")) void leave();
			else toast.error("You are still signed in", { description: explain(error) });
		},
	});
}
