// Before the first paint: the theme that was chosen in the settings.
try {
	const theme = localStorage.getItem("leger.theme");
	if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
	// Storage may be turned off; then the system's theme is used.
}
