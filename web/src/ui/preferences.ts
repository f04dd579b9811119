import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const themeKey = "leger.theme"; // public/theme.js reads it before the first paint
const keysKey = "leger.single-keys";
const listeners = new Set<() => void>();

function read(key: string): string | null {
	try {
		return localStorage.getItem(key);
	} catch {
		return null; // storage is turned off: nothing is remembered
	}
}

function write(key: string, value: string | null): void {
	try {
		if (value === null) localStorage.removeItem(key);
		else localStorage.setItem(key, value);
	} catch {
		// as above
	}
	for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
	listeners.add(listener);
	window.addEventListener("storage", listener);
	return () => {
		listeners.delete(listener);
		window.removeEventListener("storage", listener);
	};
}

function theme(): Theme {
	const text = read(themeKey);
	return text === "light" || text === "dark" ? text : "system";
}

function showTheme(): void {
	const chosen = theme();
	if (chosen === "system") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = chosen;
}

export function useTheme(): [Theme, (theme: Theme) => void] {
	const set = (chosen: Theme) => {
		write(themeKey, chosen === "system" ? null : chosen);
		showTheme();
	};
	return [useSyncExternalStore(subscribe, theme), set];
}

export function singleKeys(): boolean {
	return read(keysKey) !== "off";
}

/** Whether keys without Ctrl do something: speech input and slips of the hand need them off (WCAG 2.1.4). */
export function useSingleKeys(): [boolean, (on: boolean) => void] {
	return [useSyncExternalStore(subscribe, singleKeys), (on) => write(keysKey, on ? null : "off")];
}
