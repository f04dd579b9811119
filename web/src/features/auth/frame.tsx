import type { ReactNode } from "react";
import { Mark } from "#ui/mark.tsx";

/** A page without navigation: nobody is signed in, or nothing is at its address. */
export function Frame({ children }: { children: ReactNode }) {
	return (
		<main className="mx-auto flex min-h-dvh max-w-sm flex-col justify-center gap-5 px-4 py-12">
			<Mark />
			{children}
		</main>
	);
}
