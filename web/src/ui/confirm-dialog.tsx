import { type ReactNode, useState } from "react";
import { Button } from "./button.tsx";
import { Dialog } from "./dialog.tsx";
import { TextField } from "./fields.tsx";

interface Props {
	title: string;
	description: string;
	/** What the button that does it says. */
	action: string;
	/** What has to be typed first, in any case; without it the button is enough. */
	phrase?: string;
	busy: boolean;
	/** Why it could not be done. */
	error?: string | undefined;
	onConfirm: () => void;
	onClose: () => void;
	children?: ReactNode;
}

/** Asks before something is done that cannot be undone. */
export function ConfirmDialog(props: Props) {
	const { title, description, action, phrase, busy, error, onConfirm, onClose, children } = props;
	const [typed, setTyped] = useState("");
	const matches = phrase === undefined || typed.trim().toLowerCase() === phrase.toLowerCase();
	return (
		<Dialog
			title={title}
			description={description}
			onClose={onClose}
			footer={
				<>
					<Button onClick={onClose} data-first={phrase === undefined || undefined}>
						Cancel
					</Button>
					<Button variant="danger" disabled={!matches} busy={busy} onClick={onConfirm}>
						{action}
					</Button>
				</>
			}
		>
			{children}
			{phrase !== undefined ? (
				<form
					noValidate
					onSubmit={(event) => {
						event.preventDefault();
						if (matches && !busy) onConfirm();
					}}
				>
					<TextField
						label={`Type ${phrase} to confirm`}
						value={typed}
						onChange={setTyped}
						first
						error={error}
					/>
				</form>
			) : (
				error !== undefined && (
					<p role="alert" className="mt-2 text-danger first:mt-0">
						{error}
					</p>
				)
			)}
		</Dialog>
	);
}
