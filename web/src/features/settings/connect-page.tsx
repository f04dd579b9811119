import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery, enrolmentQuery, machinesQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { TextField } from "#ui/fields.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { ErrorState, Spinner } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { toast } from "#ui/toaster.tsx";
import { type Terms, TermsFields, termsBody } from "./machine-terms.tsx";

/** Where a machine that shows a code is compared and approved. */
export function ConnectPage() {
	const { code } = useSearch({ from: "/shell/machines/connect" });
	return (
		<PageLayout>
			<PageHeader title="Connect a machine" description="After leger auth login on it, which shows a code" />
			<div className="max-w-xl py-6">
				{code === undefined ? <CodeForm /> : <Waiting key={code} code={code} />}
			</div>
		</PageLayout>
	);
}

function CodeForm() {
	const navigate = useNavigate();
	const [code, setCode] = useState("");
	const [problem, setProblem] = useState<string>();
	const submit = () => {
		const letters = code.toUpperCase().replaceAll(/[\s-]/g, "");
		if (!/^[BCDFGHJKLMNPQRSTVWXZ]{8}$/.test(letters)) {
			setProblem("A code has 8 letters and no vowels, such as BCDF-GHJK.");
			return;
		}
		void navigate({
			to: "/machines/connect",
			search: { code: `${letters.slice(0, 4)}-${letters.slice(4)}` },
		});
	};
	return (
		<form
			noValidate
			className="flex flex-col items-start gap-4"
			onSubmit={(event) => {
				event.preventDefault();
				submit();
			}}
		>
			<TextField
				label="Code"
				value={code}
				onChange={(value) => {
					setCode(value);
					setProblem(undefined);
				}}
				error={problem}
				mono
				placeholder="BCDF-GHJK"
			/>
			<Button type="submit" variant="primary">
				Continue
			</Button>
		</form>
	);
}

function Waiting({ code }: { code: string }) {
	const queries = useQueryClient();
	const navigate = useNavigate();
	const enrolment = useQuery(enrolmentQuery(code));
	const [terms, setTerms] = useState<Terms>({ name: "", role: "full", groups: "" });
	const again = () => void navigate({ to: "/machines/connect", search: {} });
	const settled = () => {
		queries.removeQueries({ queryKey: enrolmentQuery(code).queryKey });
		void queries.invalidateQueries({ queryKey: machinesQuery.queryKey });
		void queries.invalidateQueries({ queryKey: auditQuery.queryKey });
	};
	const approve = useMutation({
		mutationFn: () => call("post", "/api/enrolments/{code}", { params: { code }, body: termsBody(terms) }),
		onSuccess: ({ name }) => {
			toast.success(`${name} is signed in`);
			settled();
			void navigate({ to: "/settings" });
		},
	});
	const deny = useMutation({
		mutationFn: () => call("delete", "/api/enrolments/{code}", { params: { code } }),
		onSuccess: () => {
			toast.success("The machine was denied");
			settled();
			again();
		},
	});
	if (enrolment.data === undefined) {
		return enrolment.isError ? (
			<ErrorState title="This code does not work" message={explain(enrolment.error)} onRetry={again} />
		) : (
			<Spinner label="Looking for the machine…" />
		);
	}
	const { name, unix_user, fingerprint, asked_at, asked_from } = enrolment.data;
	const problem = approve.error ?? deny.error;
	return (
		<form
			noValidate
			className="flex flex-col gap-5"
			onSubmit={(event) => {
				event.preventDefault();
				if (!approve.isPending) approve.mutate();
			}}
		>
			<dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-6 gap-y-1">
				<dt className="text-muted">Machine</dt>
				<dd className="font-medium break-all">{name}</dd>
				<dt className="text-muted">Unix user</dt>
				<dd className="break-all">{unix_user}</dd>
				<dt className="text-muted">Asked</dt>
				<dd>
					<Time at={asked_at} /> from {asked_from}
				</dd>
				<dt className="text-muted">Key</dt>
				<dd className="font-mono text-sm break-all">{fingerprint}</dd>
			</dl>
			<p>
				Approve it only if the machine in front of you shows this key. A code that somebody sent you is of
				their machine, which could then read your secrets.
			</p>
			<TermsFields terms={terms} onChange={setTerms} ownName={name} />
			{problem && (
				<p role="alert" className="text-danger">
					{explain(problem)}
				</p>
			)}
			<div className="flex flex-wrap gap-2">
				<Button type="submit" variant="primary" busy={approve.isPending}>
					Approve
				</Button>
				<Button variant="danger" busy={deny.isPending} onClick={() => deny.mutate()}>
					Deny
				</Button>
			</div>
		</form>
	);
}
