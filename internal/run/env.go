package run

// MinimalEnv gives the environment that an ordinary program of the user needs:
// where it finds programs, the home and XDG directories and the session bus,
// taken from lookup (os.LookupEnv) when set there, and the given names as well.
// Messages are in English whatever the user's language, so that what we show
// and what we parse is always the same.
func MinimalEnv(lookup func(string) (string, bool), names ...string) []string {
	env := []string{"LC_ALL=C.UTF-8"}
	for _, name := range append([]string{
		"PATH", "HOME", "USER", "LOGNAME", "TMPDIR",
		"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME",
		"DBUS_SESSION_BUS_ADDRESS",
	}, names...) {
		if value, ok := lookup(name); ok && name != "LC_ALL" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
