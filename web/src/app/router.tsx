import {
	createRootRoute,
	createRoute,
	createRouter,
	lazyRouteComponent,
	Outlet,
	redirect,
} from "@tanstack/react-router";
import { ApiKeysPage } from "#features/api-keys/api-keys-page.tsx";
import { AuthErrorPage } from "#features/auth/auth-error-page.tsx";
import { AuthPage } from "#features/auth/auth-page.tsx";
import { SignedOutPage } from "#features/auth/signed-out-page.tsx";
import { NotFoundPage, PageFailure } from "./fallbacks.tsx";
import { Shell } from "./shell.tsx";

const root = createRootRoute({ component: Outlet });

const shell = createRoute({ getParentRoute: () => root, id: "shell", component: Shell });

const routes = [
	createRoute({
		getParentRoute: () => root,
		path: "/",
		beforeLoad: () => {
			throw redirect({ to: "/api-keys", replace: true });
		},
	}),
	createRoute({ getParentRoute: () => root, path: "/auth", component: AuthPage }),
	createRoute({
		getParentRoute: () => root,
		path: "/auth-error",
		component: AuthErrorPage,
		validateSearch: (search): { reason?: "missing" | "refused" } =>
			search.reason === "missing" || search.reason === "refused" ? { reason: search.reason } : {},
	}),
	createRoute({ getParentRoute: () => root, path: "/signed-out", component: SignedOutPage }),
] as const;

const pages = [
	createRoute({
		getParentRoute: () => shell,
		path: "/api-keys",
		component: ApiKeysPage,
		// The name of a secret to make: what the command line links to. A number is a name, too.
		validateSearch: (search): { new?: string } =>
			typeof search.new === "string" || typeof search.new === "number" ? { new: String(search.new) } : {},
	}),
	createRoute({
		getParentRoute: () => shell,
		path: "/releases",
		component: lazyRouteComponent(() => import("#features/releases/releases-page.tsx"), "ReleasesPage"),
	}),
	createRoute({
		getParentRoute: () => shell,
		path: "/releases/new",
		component: lazyRouteComponent(() => import("#features/releases/release-page.tsx"), "NewReleasePage"),
	}),
	createRoute({
		getParentRoute: () => shell,
		path: "/releases/$id",
		component: lazyRouteComponent(() => import("#features/releases/release-page.tsx"), "ReleasePage"),
	}),
	createRoute({
		getParentRoute: () => shell,
		path: "/hosts",
		component: lazyRouteComponent(() => import("#features/hosts/hosts-page.tsx"), "HostsPage"),
	}),
	createRoute({
		getParentRoute: () => shell,
		path: "/machines/connect",
		component: lazyRouteComponent(() => import("#features/settings/connect-page.tsx"), "ConnectPage"),
		// What leger auth login opens; whoever opened it still compares the key.
		validateSearch: (search): { code?: string } =>
			typeof search.code === "string" && /^[A-Za-z]{4}-[A-Za-z]{4}$/.test(search.code)
				? { code: search.code.toUpperCase() }
				: {},
	}),
	createRoute({
		getParentRoute: () => shell,
		path: "/activity",
		component: lazyRouteComponent(() => import("#features/activity/activity-page.tsx"), "ActivityPage"),
	}),
	createRoute({
		getParentRoute: () => shell,
		path: "/settings",
		component: lazyRouteComponent(() => import("#features/settings/settings-page.tsx"), "SettingsPage"),
	}),
] as const;

export const router = createRouter({
	routeTree: root.addChildren([...routes, shell.addChildren(pages)]),
	defaultPreload: "intent",
	defaultNotFoundComponent: NotFoundPage,
	defaultErrorComponent: PageFailure,
	scrollRestoration: true,
});

declare module "@tanstack/react-router" {
	interface Register {
		router: typeof router;
	}
}
