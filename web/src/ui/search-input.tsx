import { Search } from "lucide-react";
import { useRef } from "react";
import { useShortcut } from "./shortcuts.ts";

interface Props {
	label: string;
	value: string;
	onChange: (value: string) => void;
}

/** Filters what is on the page. What is searched for stays out of the address. */
export function SearchInput({ label, value, onChange }: Props) {
	const input = useRef<HTMLInputElement>(null);
	useShortcut("/", () => input.current?.focus());
	return (
		<div className="relative w-full sm:w-64">
			<Search className="pointer-events-none absolute top-2 left-2.5 size-4 text-muted" aria-hidden />
			<input
				ref={input}
				type="search"
				aria-label={label}
				aria-keyshortcuts="/"
				placeholder={label}
				autoComplete="off"
				spellCheck={false}
				value={value}
				onChange={(event) => onChange(event.target.value)}
				onKeyDown={(event) => {
					if (event.key === "Escape") onChange("");
				}}
				className="h-8 w-full rounded-md border border-line-strong bg-surface pr-2.5 pl-8 hover:border-line-strong"
			/>
		</div>
	);
}
