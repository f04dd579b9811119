import "#features/auth/link-token.ts"; // first: it takes the token out of the address
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { newQueryClient } from "#api/queries.ts";
import { Toaster } from "#ui/toaster.tsx";
import "./app.css";
import { router } from "./router.tsx";

const element = document.getElementById("app");
if (element === null) throw new Error("index.html has no #app");

createRoot(element).render(
	<StrictMode>
		<QueryClientProvider client={newQueryClient()}>
			<RouterProvider router={router} />
			<Toaster />
		</QueryClientProvider>
	</StrictMode>,
);
