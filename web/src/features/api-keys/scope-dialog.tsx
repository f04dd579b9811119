import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain, hasCode } from "#api/error.ts";
import { auditQuery, type Machine, type Scope, type Secret, secretsQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { toast } from "#ui/toaster.tsx";
import { allMachines, describeScope } from "./scope.ts";
import { ScopeFields } from "./scope-fields.tsx";

interface Props {
	secret: Secret;
	machines: readonly Machine[];
	onClose: () => void;
}

/** Which machines a secret is given to. */
export function ScopeDialog({ secret, machines, onClose }: Props) {
	const queries = useQueryClient();
	const { name } = secret;
	const [scope, setScope] = useState<Scope>(secret.scope ?? allMachines);
	const change = useMutation({
		mutationFn: () => call("put", "/api/secrets/{name}/scope", { params: { name }, body: scope }),
		onSuccess: (saved) => {
			toast.success(`${name} is given to ${describeScope(saved, machines)}`, {
				description: "Machines follow with their next sync.",
			});
			onClose();
		},
		// The row goes with the secret, and this dialog with the row.
		onError: (failure) => hasCode(failure, "not_found") && toast.error(explain(failure)),
		onSettled: () => {
			void queries.invalidateQueries({ queryKey: secretsQuery.queryKey });
			void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
		},
	});
	return (
		<Dialog
			title={`Machines that get ${name}`}
			description="A machine that is not given it any more loses it with its next sync. Change the value if that machine should not know it."
			onClose={onClose}
			footer={
				<>
					<Button onClick={onClose}>Cancel</Button>
					<Button variant="primary" busy={change.isPending} onClick={() => change.mutate()}>
						Save
					</Button>
				</>
			}
		>
			<ScopeFields scope={scope} onChange={setScope} first />
			{change.isError && (
				<p role="alert" className="mt-3 text-danger">
					{explain(change.error)}
				</p>
			)}
		</Dialog>
	);
}
