import { type ReactNode, useId, useRef } from "react";
import { Button } from "./button.tsx";
import { useUnsaved } from "./unsaved.ts";

interface Props {
	title: string;
	description?: ReactNode;
	/** Beside the title, as a link to a provider's page. */
	aside?: ReactNode;
	isDirty?: boolean;
	saving?: boolean;
	/** What went wrong with the last save, for the section as a whole. */
	error?: string | undefined;
	onSave?: () => void;
	onDiscard?: () => void;
	saveLabel?: string;
	/** Shows the save button before anything is typed, too. */
	alwaysSave?: boolean;
	children: ReactNode;
}

/** A part of a page that is saved on its own and knows whether it has to be. */
export function CategorySection(props: Props) {
	const { title, description, aside, isDirty = false, saving = false, error, onSave, onDiscard } = props;
	const id = useId();
	const form = useRef<HTMLFormElement>(null);
	useUnsaved({ dirty: isDirty, title, save: saving ? undefined : onSave, element: form });
	const footer = onSave !== undefined && (isDirty || saving || error !== undefined || props.alwaysSave);
	return (
		<section
			aria-labelledby={id}
			className="grid gap-x-10 gap-y-4 border-b border-line py-5 last:border-b-0 lg:grid-cols-[14rem_minmax(0,1fr)]"
		>
			<div>
				<h2 id={id} tabIndex={-1} className="font-semibold">
					{title}
				</h2>
				{description && <div className="mt-0.5 text-sm text-muted">{description}</div>}
				{aside && <div className="mt-1.5 text-sm">{aside}</div>}
			</div>
			<form
				ref={form}
				noValidate
				autoComplete="off"
				aria-labelledby={id}
				onSubmit={(event) => {
					event.preventDefault();
					if (isDirty && !saving) onSave?.();
				}}
				className="flex min-w-0 flex-col gap-4"
			>
				{props.children}
				{footer && (
					<div className="flex flex-wrap items-center justify-end gap-2">
						{error && (
							<p role="alert" className="mr-auto min-w-0 flex-1 basis-full text-sm text-danger sm:basis-0">
								{error}
							</p>
						)}
						{!error && isDirty && (
							<p className="mr-auto text-sm text-muted">{saving ? "Saving…" : "Not saved yet"}</p>
						)}
						{isDirty && onDiscard && (
							<Button variant="ghost" onClick={onDiscard} disabled={saving}>
								Discard
							</Button>
						)}
						<Button type="submit" variant="primary" busy={saving} disabled={!isDirty}>
							{props.saveLabel ?? "Save"}
							<span className="sr-only"> {title}</span>
						</Button>
					</div>
				)}
			</form>
		</section>
	);
}
