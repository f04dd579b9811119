import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import type { User } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { TextField } from "#ui/fields.tsx";
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
	const [email, setEmail] = useState("");
	const leave = useLeave();
	const matches = email.trim().toLowerCase() === user.email.toLowerCase();
	const remove = useMutation({
		mutationFn: () => call("delete", "/api/user", { body: { email: email.trim() } }),
		onSuccess: leave,
	});
	return (
		<Dialog
			title="Delete your account?"
			description="Every secret with all its versions, every release and every session is deleted. There is no way back, and nobody can bring a value back for you. Machines keep what they have until it is removed there."
			onClose={onClose}
			footer={
				<>
					<Button onClick={onClose}>Cancel</Button>
					<Button
						variant="danger"
						disabled={!matches}
						busy={remove.isPending}
						onClick={() => remove.mutate()}
					>
						Delete account
					</Button>
				</>
			}
		>
			<form
				noValidate
				onSubmit={(event) => {
					event.preventDefault();
					if (matches && !remove.isPending) remove.mutate();
				}}
			>
				<TextField
					label={`Type ${user.email} to confirm`}
					value={email}
					onChange={setEmail}
					first
					error={remove.isError ? explain(remove.error) : undefined}
				/>
			</form>
		</Dialog>
	);
}
