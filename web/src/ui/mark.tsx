/** The sign of Leger with its name. */
export function Mark() {
	return (
		<span className="flex items-center gap-2 font-semibold tracking-tight">
			<svg viewBox="0 0 32 32" className="size-6" aria-hidden="true">
				<rect width="32" height="32" rx="7" className="fill-accent" />
				<path d="M10 8h4v12h8v4H10z" className="fill-on-accent" />
			</svg>
			Leger
		</span>
	);
}
