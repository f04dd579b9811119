import { type RefObject, useEffect, useRef, useSyncExternalStore } from "react";

/** One part of the page that has something unsaved. */
interface Entry {
	title: string;
	save: (() => void) | undefined;
	element: RefObject<HTMLElement | null>;
}

const dirty = new Map<object, Entry>();
const listeners = new Set<() => void>();
let titles: readonly string[] = [];

function changed(): void {
	titles = [...dirty.values()].map((entry) => entry.title);
	for (const listener of listeners) listener();
}

/** Tells the page whether this part has something unsaved, for as long as it is shown. */
export function useUnsaved({ dirty: isDirty, title, save, element }: Entry & { dirty: boolean }): void {
	const latest = useRef(save);
	latest.current = save;
	useEffect(() => {
		if (!isDirty) return;
		const key = {};
		dirty.set(key, { title, save: () => latest.current?.(), element });
		changed();
		return () => {
			dirty.delete(key);
			changed();
		};
	}, [isDirty, title, element]);
}

/** The same, at this moment and not at the last drawing. */
export function hasUnsaved(): boolean {
	return dirty.size > 0;
}

/** The titles of what is not saved. */
export function useUnsavedTitles(): readonly string[] {
	return useSyncExternalStore(
		(listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		() => titles,
	);
}

/** Saves the part that has the focus; if none has, all that have something to save. */
export function saveUnsaved(): void {
	const entries = [...dirty.values()];
	const focused = entries.filter((entry) => entry.element.current?.contains(document.activeElement));
	for (const entry of focused.length > 0 ? focused : entries) entry.save?.();
}

/** For what leaves the page on purpose, as after a save. */
export function forgetUnsaved(): void {
	dirty.clear();
	changed();
}
