/**
 * What the last answers told about the server and the session. Pages stay as
 * they are while either is away: only a banner shows it, so that nothing typed
 * is lost.
 */
export interface Status {
	readonly reachable: boolean;
	readonly signedIn: "unknown" | "yes" | "no";
}

type Listener = () => void;

let current: Status = { reachable: true, signedIn: "unknown" };
const listeners = new Set<Listener>();

export const status = {
	get: (): Status => current,
	set(change: Partial<Status>): void {
		const next = { ...current, ...change };
		if (next.reachable === current.reachable && next.signedIn === current.signedIn) return;
		current = next;
		for (const listener of listeners) listener();
	},
	subscribe(listener: Listener): () => void {
		listeners.add(listener);
		return () => listeners.delete(listener);
	},
};

/** Tabs of one browser share the session cookie: they tell each other when it changes. */
export type TabMessage = "signed-in" | "signed-out";

const channelName = "leger";

export function tellTabs(message: TabMessage): void {
	const channel = new BroadcastChannel(channelName);
	channel.postMessage(message);
	channel.close();
}

export function onTabMessage(listener: (message: TabMessage) => void): () => void {
	const channel = new BroadcastChannel(channelName);
	channel.onmessage = (event) => {
		if (event.data === "signed-in" || event.data === "signed-out") listener(event.data);
	};
	return () => channel.close();
}
