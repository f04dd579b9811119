import type { AuditEvent } from "#api/queries.ts";

const actions: Record<string, (subject: string, count: number) => string> = {
	"user.sign_in": () => "Signed in",
	"user.sign_in_refused": () => "Sign-in refused",
	"user.sign_out_everywhere": () => "Signed out everywhere else",
	"user.update": () => "Changed the profile",
	"user.delete": () => "Deleted the account",
	"session.end": () => "Signed a browser out",
	"session.link": () => "Made a link that signs another browser in",
	"token.revoke": () => "Signed a command line out",
	"access.denied": (subject) => `Was refused ${subject || "access"}`,
	"secret.create": (subject) => `Created the secret ${subject}`,
	"secret.update": (subject) => `Replaced the secret ${subject}`,
	"secret.restore": (subject) => `Restored the secret ${subject}`,
	"secret.delete": (subject) => `Deleted the secret ${subject}`,
	"secret.scope": (subject) => `Changed which machines get ${subject}`,
	"secret.read": (subject, count) =>
		subject === "*" ? `Read ${count === 1 ? "1 secret" : `${count} secrets`}` : `Read the secret ${subject}`,
	"release.create": (subject) => `Created the release ${subject}`,
	"release.update": (subject) => `Changed the release ${subject}`,
	"release.delete": (subject) => `Deleted the release ${subject}`,
	"host.add": (subject) => `The machine ${subject} reported for the first time`,
	"host.forget": (subject) => `Forgot the machine ${subject}`,
	"machine.enrol": () => "Enrolled a machine",
	"machine.update": () => "Changed a machine",
	"machine.revoke": () => "Revoked a machine",
	"machine.deny": () => "Denied a machine",
	"machine.invite": () => "Invited a machine",
	"machine.uninvite": () => "Withdrew an invitation",
	"key.rotate": () => "Changed a key of the server",
	"server.move": () => "Moved the server's data to another database",
	"server.restore": () => "Restored the server from a backup",
	"audit.restart": () => "Began the chains of the audit log anew",
};

/** A sentence for an event; one this version does not know is shown by its own name. */
export function describeEvent(event: AuditEvent): string {
	const sentence = actions[event.action];
	if (sentence === undefined) return [event.action, event.subject].filter(Boolean).join(" ");
	return sentence(event.subject ?? "", event.count ?? 1).trim();
}

/** By what means it was done, from where, and what else is known. */
export function describeCaller(event: AuditEvent): string {
	const means = {
		session: "browser",
		token: "command line",
		machine: "machine",
		tailnet: "Tailscale",
		operator: "operator of the server",
		none: "nobody signed in",
	}[event.credential];
	const parts = [means, event.device_id, event.remote_addr, event.detail].filter(Boolean);
	return [...new Set(parts)].join(" · ");
}
