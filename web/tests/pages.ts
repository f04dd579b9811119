/** Every page, and the heading it shows once it has loaded. */
export const pages: readonly { path: string; heading: string; signedOut?: boolean }[] = [
	{ path: "/api-keys", heading: "API Keys & Integrations" },
	{ path: "/releases", heading: "Releases" },
	{ path: "/releases/new", heading: "Create Release" },
	{ path: "/releases/ID", heading: "Edit Release" },
	{ path: "/hosts", heading: "Machines" },
	{ path: "/machines/connect", heading: "Connect a machine" },
	{ path: "/activity", heading: "Activity" },
	{ path: "/settings", heading: "Settings" },
	{ path: "/no/such/page", heading: "There is no such page" },
	{ path: "/auth-error?reason=refused", heading: "This link does not work any more" },
	{ path: "/auth-error?reason=missing", heading: "This link is not complete" },
	{ path: "/signed-out", heading: "You are signed out" },
];
