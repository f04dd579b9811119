import { useCallback, useState } from "react";

/** Tells whether the element that is given `ref` is on the screen, or about to be. */
export function useInView() {
	const [inView, setInView] = useState(false);
	const ref = useCallback((element: Element | null) => {
		if (element === null) return;
		const observer = new IntersectionObserver(
			(entries) => setInView(entries.at(-1)?.isIntersecting ?? false),
			{
				rootMargin: "400px",
			},
		);
		observer.observe(element);
		return () => observer.disconnect();
	}, []);
	return { ref, inView };
}
