import type { ButtonHTMLAttributes, Ref } from "react";
import { cx } from "./cx.ts";

type Variant = "primary" | "outline" | "ghost" | "danger";

const variants: Record<Variant, string> = {
	primary: "bg-accent text-on-accent hover:bg-accent-strong",
	outline: "border border-line bg-surface hover:border-line-strong hover:bg-raised",
	ghost: "text-muted hover:bg-raised hover:text-ink",
	danger: "border border-danger text-danger hover:bg-danger-soft hover:text-danger-strong",
};

const shape =
	"inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md text-sm font-medium whitespace-nowrap transition-colors";

interface Look {
	variant?: Variant;
	/** A square for an icon; give it an aria-label. */
	icon?: boolean;
	small?: boolean;
}

export function buttonClass({ variant = "outline", icon = false, small = false }: Look = {}): string {
	const size = small ? "h-7" : "h-8";
	const width = icon ? (small ? "w-7" : "w-8") : small ? "px-2" : "px-3";
	return cx(shape, size, width, variants[variant]);
}

interface Props extends ButtonHTMLAttributes<HTMLButtonElement>, Look {
	/** Stays focusable and says so, but does nothing meanwhile. */
	busy?: boolean;
	ref?: Ref<HTMLButtonElement>;
}

export function Button({ variant, icon, small, busy, className, type, onClick, ...rest }: Props) {
	return (
		<button
			{...rest}
			type={type ?? "button"}
			aria-busy={busy || undefined}
			aria-disabled={busy || undefined}
			onClick={busy ? (event) => event.preventDefault() : onClick}
			className={cx(
				buttonClass({ variant, icon, small } as Look),
				"disabled:cursor-not-allowed disabled:border-line disabled:bg-raised disabled:text-muted aria-disabled:opacity-60",
				className,
			)}
		/>
	);
}
