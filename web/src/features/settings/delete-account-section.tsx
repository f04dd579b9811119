import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import type { User } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { ConfirmDialog } from "#ui/confirm-dialog.tsx";
import { useLeave } from "./sign-out.ts";

export function DeleteAccountSection({ user }: { user: User }) {
	const [asking, setAsking] = useState(false);
	return (
		<>
			<CategorySection title="Delete Account" description="With every secret, release and session">
				<div>
					<Button variant="danger" onClick={() => setAsking(true)}>
						Delete account…
					</Button>
				</div>
			</CategorySection>
			{asking && <DeleteAccountDialog user={user} onClose={() => setAsking(false)} />}
		</>
	);
}

function DeleteAccountDialog({ user, onClose }: { user: User; onClose: () => void }) {
	const leave = useLeave();
	const remove = useMutation({
		mutationFn: () => call("delete", "/api/user", { body: { email: user.email } }),
		onSuccess: leave,
	});
	return (
		<ConfirmDialog
			title="Delete your account?"
			description="Every secret with all its versions, every release and every session is deleted. There is no way back, and nobody can bring a value back for you. Machines keep what they have until it is removed there."
			action="Delete account"
			phrase={user.email}
			busy={remove.isPending}
			error={remove.isError ? explain(remove.error) : undefined}
			onConfirm={() => remove.mutate()}
			onClose={onClose}
		/>
	);
}
