import { Eye, EyeOff, TriangleAlert } from "lucide-react";
import { type ReactNode, type Ref, useId, useState } from "react";
import { Button } from "./button.tsx";
import { cx } from "./cx.ts";

const input =
	"w-full min-w-0 rounded-md border border-line-strong bg-surface px-2.5 text-base hover:border-line-strong aria-invalid:border-danger read-only:bg-raised";
const oneLine = "h-8";

/** Fields of one section, one below the other. */
export function FieldGroup({ children }: { children: ReactNode }) {
	return <div className="flex flex-col gap-4">{children}</div>;
}

interface Shared {
	label: string;
	/** What the label belongs to, where several fields have the same; only screen readers hear it. */
	of?: string | undefined;
	description?: ReactNode;
	error?: string | undefined;
	/** Something to look at that does not stop anybody. */
	warning?: string | undefined;
	optional?: boolean;
	/** Shown at the end of the label's line. */
	aside?: ReactNode;
}

interface FrameProps extends Shared {
	children: (attributes: {
		id: string;
		"aria-describedby": string;
		"aria-invalid": true | undefined;
	}) => ReactNode;
}

/** Label, description, warning and error around one input, tied to it for screen readers. */
function Field({ label, of, description, error, warning, optional, aside, children }: FrameProps) {
	const id = useId();
	return (
		<div className="flex min-w-0 flex-col gap-1.5">
			<div className="flex min-h-5 flex-wrap items-baseline justify-between gap-x-3">
				<label htmlFor={id} className="text-sm font-medium">
					{of && <span className="sr-only">{of} </span>}
					{label}
					{optional && <span className="font-normal text-muted"> (optional)</span>}
				</label>
				{aside}
			</div>
			{children({ id, "aria-describedby": `${id}-more`, "aria-invalid": error ? true : undefined })}
			<div id={`${id}-more`} className="flex flex-col gap-1 text-sm empty:hidden">
				{error && (
					<p className="text-danger" role="alert">
						{error}
					</p>
				)}
				{warning && !error && (
					<p className="flex items-start gap-1.5 text-warn">
						<TriangleAlert className="mt-0.5 size-3.5 shrink-0" aria-hidden />
						{warning}
					</p>
				)}
				{description && !error && <div className="text-muted">{description}</div>}
			</div>
		</div>
	);
}

interface TextProps extends Shared {
	value: string;
	onChange: (value: string) => void;
	onBlur?: () => void;
	/** What Enter does, instead of what it does in the form around. */
	onEnter?: () => void;
	placeholder?: string;
	/** Characters, counted as people do; what is over is shown and refused, not cut off. */
	maxLength?: number;
	showCharCount?: boolean;
	mono?: boolean;
	readOnly?: boolean;
	/** Takes the focus when its dialog opens. */
	first?: boolean;
	inputMode?: "text" | "url" | "email";
	ref?: Ref<HTMLInputElement>;
}

/** Characters as people count them, of how many there may be. */
function Counter({ text, most }: { text: string; most: number }) {
	const length = [...text].length;
	return (
		<span className={cx("text-xs tabular-nums", length > most ? "text-danger" : "text-muted")}>
			{length}/{most}
			<span className="sr-only"> characters</span>
		</span>
	);
}

/** Off: no browser keeps, mends or sends away what is typed here. */
const unaided = {
	autoComplete: "off",
	autoCorrect: "off",
	autoCapitalize: "none",
	spellCheck: false,
} as const;

export function TextField(props: TextProps) {
	const { value, onChange, maxLength, showCharCount, mono, placeholder, readOnly, inputMode, onBlur, ref } =
		props;
	const { onEnter } = props;
	const count = showCharCount && maxLength !== undefined && <Counter text={value} most={maxLength} />;
	return (
		<Field {...props} aside={count || props.aside}>
			{(attributes) => (
				<input
					{...attributes}
					{...unaided}
					ref={ref}
					type="text"
					inputMode={inputMode}
					data-first={props.first || undefined}
					readOnly={readOnly}
					value={value}
					placeholder={placeholder}
					onBlur={onBlur}
					onKeyDown={(event) => {
						if (onEnter === undefined || event.key !== "Enter") return;
						event.preventDefault();
						onEnter();
					}}
					onChange={(event) => onChange(event.target.value)}
					className={cx(input, oneLine, mono && "font-mono")}
				/>
			)}
		</Field>
	);
}

export function URLInput(props: TextProps) {
	return <TextField {...props} inputMode="url" mono />;
}

interface AreaProps extends Shared {
	value: string;
	onChange: (value: string) => void;
	onBlur?: () => void;
	rows?: number;
	maxLength?: number;
	placeholder?: string;
	mono?: boolean;
}

export function TextArea(props: AreaProps) {
	const { value, onChange, onBlur, rows = 3, maxLength, placeholder, mono } = props;
	const count = maxLength !== undefined && <Counter text={value} most={maxLength} />;
	return (
		<Field {...props} aside={count || props.aside}>
			{(attributes) => (
				<textarea
					{...attributes}
					{...unaided}
					rows={rows}
					value={value}
					placeholder={placeholder}
					onBlur={onBlur}
					onChange={(event) => onChange(event.target.value)}
					className={cx(input, "resize-y py-1.5", mono && "font-mono text-sm")}
				/>
			)}
		</Field>
	);
}

interface SecretProps extends Shared {
	value: string;
	onChange: (value: string) => void;
	placeholder?: string;
	multiline?: boolean;
	ref?: Ref<HTMLInputElement & HTMLTextAreaElement>;
}

/**
 * What is typed is drawn as dots until it is asked for. The value goes to the
 * server and never comes back. Password managers are asked to leave it alone.
 */
export function SecretField(props: SecretProps) {
	const { label, of, value, onChange, placeholder = "", multiline = false, ref } = props;
	const [shown, setShown] = useState(false);
	const look = {
		...unaided,
		"data-1p-ignore": true,
		"data-bwignore": true,
		"data-lpignore": "true",
		value,
		ref,
		// :placeholder-shown tells an empty field, whose hint is not to be dotted.
		placeholder: placeholder || " ",
		className: cx(input, "font-mono text-sm", multiline ? "py-1.5" : oneLine, !shown && "masked"),
	};
	const Icon = shown ? EyeOff : Eye;
	return (
		<Field {...props}>
			{(attributes) => (
				<div className="flex items-start gap-2">
					{multiline ? (
						<textarea {...attributes} {...look} rows={4} onChange={(event) => onChange(event.target.value)} />
					) : (
						<input {...attributes} {...look} type="text" onChange={(event) => onChange(event.target.value)} />
					)}
					<Button
						icon
						aria-pressed={shown}
						aria-label={["Show typed", of, label].filter(Boolean).join(" ")}
						title={shown ? "Hide what is typed" : "Show what is typed"}
						onClick={() => setShown(!shown)}
					>
						<Icon className="size-4" aria-hidden />
					</Button>
				</div>
			)}
		</Field>
	);
}
