import { useEffect, useRef } from "react";
import { singleKeys } from "./preferences.ts";

/** Runs when a single key is pressed outside of fields and dialogs. */
export function useShortcut(key: string, run: () => void): void {
	const latest = useRef(run);
	latest.current = run;
	useEffect(() => {
		const listen = (event: KeyboardEvent) => {
			if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented)
				return;
			if (!singleKeys() || isTyping(event.target) || document.querySelector("dialog[open]")) return;
			event.preventDefault();
			latest.current();
		};
		document.addEventListener("keydown", listen);
		return () => document.removeEventListener("keydown", listen);
	}, [key]);
}

function isTyping(target: EventTarget | null): boolean {
	return (
		target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null
	);
}

/** Runs on Ctrl+S and Cmd+S, in fields too. */
export function useSaveShortcut(run: () => void): void {
	const latest = useRef(run);
	latest.current = run;
	useEffect(() => {
		const listen = (event: KeyboardEvent) => {
			if (
				event.key.toLowerCase() !== "s" ||
				!(event.ctrlKey || event.metaKey) ||
				event.altKey ||
				event.shiftKey
			)
				return;
			event.preventDefault();
			if (!document.querySelector("dialog[open]")) latest.current();
		};
		document.addEventListener("keydown", listen);
		return () => document.removeEventListener("keydown", listen);
	}, []);
}
