import { useMutation, useQueryClient } from "@tanstack/react-query";
import { encodeQR } from "qr";
import { useEffect, useState } from "react";
import { call } from "#api/client.ts";
import { explain } from "#api/error.ts";
import { auditQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CopyButton } from "#ui/copy-button.tsx";
import { Dialog } from "#ui/dialog.tsx";
import { Spinner } from "#ui/states.tsx";

/** Hands this browser's sign-in on to another one. */
export function LinkDialog({ onClose }: { onClose: () => void }) {
	const queries = useQueryClient();
	const { mutate, data, error, isPending } = useMutation({
		mutationFn: () => call("post", "/api/sessions:link"),
		onSettled: () => void queries.invalidateQueries({ queryKey: auditQuery.queryKey }),
	});
	useEffect(() => mutate(), [mutate]);
	const left = useSecondsUntil(data?.expires_at);
	const over = data !== undefined && left <= 0;
	return (
		<Dialog
			title="Sign another browser in"
			description="Whoever opens this link is signed in as you, once. Scan it with your own phone, or open it in another browser of yours; send it to nobody."
			onClose={onClose}
			footer={
				<>
					{(over || error !== null) && (
						<Button busy={isPending} onClick={() => mutate()}>
							Make another link
						</Button>
					)}
					<Button variant="primary" onClick={onClose} data-first>
						Done
					</Button>
				</>
			}
		>
			{error !== null ? (
				<p role="alert" className="text-danger">
					{explain(error)}
				</p>
			) : data === undefined ? (
				<Spinner label="Making a link…" />
			) : over ? (
				<p role="status">The link's time is over.</p>
			) : (
				<div className="flex flex-col gap-3">
					<QRCode text={data.url} label="The link as a QR code" />
					<div className="flex items-center gap-2">
						<code className="min-w-0 flex-1 font-mono text-sm break-all select-all">{data.url}</code>
						<CopyButton text={data.url} what="Link" small />
					</div>
					<p className="text-sm text-muted">
						It works once, within <span className="tabular-nums">{left}</span>{" "}
						{left === 1 ? "second" : "seconds"}, and that browser stays signed in no longer than this one.
					</p>
				</div>
			)}
		</Dialog>
	);
}

/** Counts down to an instant by the server's clock, which this computer's may differ from by little. */
function useSecondsUntil(at: string | undefined): number {
	const [now, setNow] = useState(Date.now);
	useEffect(() => {
		if (at === undefined) return;
		setNow(Date.now());
		const timer = setInterval(() => setNow(Date.now()), 1000);
		return () => clearInterval(timer);
	}, [at]);
	return at === undefined ? 0 : Math.max(0, Math.ceil((Date.parse(at) - now) / 1000));
}

/** Dark on white in every theme, or a camera does not read it. */
function QRCode({ text, label }: { text: string; label: string }) {
	const rows = encodeQR(text, "raw", { border: 4 });
	const path = rows
		.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])))
		.join("");
	return (
		<svg
			role="img"
			aria-label={label}
			viewBox={`0 0 ${rows.length} ${rows.length}`}
			shapeRendering="crispEdges"
			className="mx-auto w-56 max-w-full rounded-md"
		>
			<rect width={rows.length} height={rows.length} fill="#fff" />
			<path d={path} fill="#000" />
		</svg>
	);
}
