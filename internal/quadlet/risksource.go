package quadlet

import (
	"path"
	"slices"
	"strings"
)

// placeOf says what a path of the machine is, for a sentence, and how bad it is to
// give it away. Whatever is not known to be harmless asks.
func placeOf(clean string, readOnly bool) (what string, e effect) {
	rest, home := inHome(clean)
	session, inSession := strings.CutPrefix(clean, runtimeDir+"/")
	switch {
	case clean == "/":
		return "the whole file system", endangers
	case clean == "/home" || clean == "/var":
		return "a directory that everything of all users is in", endangers
	case home && rest == "":
		return "a whole home directory", endangers
	case strings.HasSuffix(clean, "/podman.sock") || strings.HasSuffix(clean, "/docker.sock") || under(clean, "/run/podman"):
		return "the container engine's socket, which can do whatever you can do", endangers
	case clean == runtimeDir || clean == "/run/user" || clean == "/run":
		return "the sockets of your session and of the system", endangers
	case inSession:
		return placeInSession(session)
	case home:
		return placeInHome(rest)
	case readOnly && slices.ContainsFunc(ordinary(), func(dir string) bool { return under(clean, dir) }):
		return "what every program of this machine may read", informs
	case under(clean, "/proc"), under(clean, "/sys"), under(clean, "/dev"), under(clean, "/run"), under(clean, "/boot"),
		under(clean, "/usr"), under(clean, "/etc"), under(clean, "/lib"), under(clean, "/bin"), under(clean, "/sbin"),
		under(clean, "/var/lib/containers"), clean == "/var/lib":
		if readOnly || under(clean, "/dev") {
			return "a part of the system", asks
		}
		return "a part of the system", endangers
	default:
		return "a part of this machine that is not the release's", asks
	}
}

// ordinary are files of the system that containers are often shown and that tell
// nothing.
func ordinary() []string {
	return []string{
		"/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo", "/etc/ssl/certs", "/etc/ca-certificates",
		"/usr/share/ca-certificates", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/machine-id", "/etc/os-release",
	}
}

// under reports whether a path is a directory or below it.
func under(clean, dir string) bool {
	rest, ok := strings.CutPrefix(clean, dir)
	return ok && (rest == "" || rest[0] == '/' || dir == "/")
}

// placeInSession is about the runtime directory: its sockets talk to programs that
// run as the user.
func placeInSession(rest string) (string, effect) {
	first, _, _ := strings.Cut(rest, "/")
	switch first {
	case "podman", "docker.sock":
		return "the container engine's socket, which can do whatever you can do", endangers
	case "bus", "dbus-1", "systemd":
		return "the bus of your session, over which any program can be started as you", endangers
	case "leger":
		return "Leger's socket, which hands out all of your secrets", endangers
	case "gnupg", "keyring", "ssh-agent", "openssh_agent", "gcr", "containers", "crun", "libpod", "credentials":
		return "your keys or your containers' state", endangers
	default:
		return "a socket or file of your session", asks
	}
}

// placeInHome is about what is below the home directory. What begins with a dot
// there is mostly read by programs that run as the user: whoever writes it runs
// something, and whoever reads it has keys.
func placeInHome(rest string) (string, effect) {
	first, below, _ := strings.Cut(rest, "/")
	second, _, _ := strings.Cut(below, "/")
	switch {
	case !strings.HasPrefix(first, "."):
		return "files in your home directory", asks
	case under(rest, ".config/containers/volumes"), under(rest, ".config/containers/storage/volumes"):
		return "a directory for a container's data", asks
	case first == ".ssh" || first == ".gnupg" || first == ".pki" || first == ".password-store" || first == ".aws" || first == ".kube" || first == ".docker":
		return "your keys", endangers
	case first == ".config" && (below == "" || slices.Contains(configOfPrograms(), second)),
		first == ".local" && (below == "" || below == "share" || below == "state" || second == "bin" || second == "lib"),
		under(rest, ".local/share/containers"), under(rest, ".local/share/systemd"), under(rest, ".local/share/dbus-1"),
		under(rest, ".local/share/applications"), under(rest, ".local/share/keyrings"), under(rest, ".local/share/leger"),
		under(rest, ".local/state/leger"), under(rest, ".cache/leger"):
		return "settings, keys or programs that run as you", endangers
	case first == ".config" || first == ".local" || first == ".cache" || first == ".var":
		return "files in your home directory", asks
	default:
		return "settings, keys or programs that run as you", endangers
	}
}

// configOfPrograms are directories of ~/.config from which something is run, or in
// which keys are.
func configOfPrograms() []string {
	return []string{
		"containers", "systemd", "autostart", "environment.d", "leger", "git", "fish", "nushell", "user-tmpfiles.d", "dbus-1",
		"gh", "rclone", "age", "sops", "gcloud", "op", "ssh", "gnupg", "pulse", "X11", "plasma-workspace", "hypr", "sway", "i3",
	}
}

// source is one place that something comes from.
type source struct {
	value    string // as written
	readOnly bool
	globs    bool   // the value is a pattern
	does     string // "mounts"
	kind     RiskKind
}

// place notes a path of the machine.
func (j *judge) place(a Assignment, s source) {
	f := finding{effect: asks, kind: s.kind}
	mode := ", writable"
	if s.readOnly {
		mode = ", read-only"
	}
	if s.kind == RiskFile {
		mode = ""
	}
	clean, unknown := hostPath(s.value, j.u.Service, s.globs)
	if i := strings.IndexAny(s.value, "%$"); i >= 0 && strings.HasPrefix(s.value, ".") {
		// Podman joins it to the quadlet's directory before systemd puts anything in:
		// "./..%f" of etc.container is ../etc.
		clean, unknown = s.value, s.value[i:min(i+2, len(s.value))]
	}
	switch {
	case unknown != "" && s.globs && strings.ContainsAny(unknown[:1], "*?["):
		what, _ := placeOf(canonical(path.Clean(clean+"x")), s.readOnly)
		f.effect = endangers
		f.text = s.does + " whatever " + s.value + " matches, and what that is cannot be told: " + what + mode
	case unknown != "":
		f.effect = endangers
		f.text = s.does + " a place that cannot be told: nobody knows what " + unknown + " will be" + mode
	default:
		var what string
		what, f.effect = placeOf(clean, s.readOnly)
		f.text = s.does + " " + readable(clean) + ", " + what + mode
	}
	j.note(a, f)
}

// mounts notes what a unit sees of the machine.
func (j *judge) mounts() {
	for _, m := range j.u.Volumes {
		a := Assignment{Key: m.Key, Value: m.Value, File: m.File, Line: m.Line}
		for _, from := range m.places() {
			at, moved := j.l.movedFrom(from.source)
			switch {
			case from.own:
				j.ownMount(a, m, from.source)
			case moved && !from.written:
				j.movedMount(a, m, at)
			default:
				j.place(a, source{
					value: from.source, readOnly: m.ReadOnly && !from.written, globs: m.Type == MountGlob, does: "mounts", kind: RiskMount,
				})
			}
		}
		if m.Type == MountImage && !strings.HasSuffix(m.Source, ".image") && !strings.HasSuffix(m.Source, ".build") {
			if why := floating(m.Source); why != "" {
				j.note(a, finding{effect: informs, kind: RiskImage, text: "mounts an image that " + why})
			}
		}
	}
}

type mountPlace struct {
	source  string
	own     bool // it is relative to the quadlet
	written bool // whatever the mode says
}

// places lists the paths that a mount names: its source, and directories of an
// overlay among its options. Volumes of Podman are none.
func (m Mount) places() []mountPlace {
	var found []mountPlace
	add := func(value string, written bool) {
		relative := strings.HasPrefix(value, ".") && !strings.ContainsAny(value, "%$*?[")
		found = append(found, mountPlace{value, relative && !written, written})
	}
	switch m.Type { //nolint:exhaustive // the others come from Podman's store or from memory
	case MountBind, MountGlob:
		add(m.Source, false)
	case MountVolume:
		if strings.ContainsAny(m.Source, "/%$~") || strings.HasPrefix(m.Source, ".") {
			add(m.Source, false)
		}
	}
	for _, other := range m.Others { // Podman takes the last one; which that is need not be relied upon
		add(other, false)
	}
	for option := range strings.SplitSeq(m.Options, ",") {
		name, value, ok := strings.Cut(option, "=")
		if ok && value != "" && (name == "upperdir" || name == "workdir" || name == "volume-opt") {
			add(value, true)
		}
	}
	return found
}

// ownMount notes a file or directory of the release that a container sees. One
// that is only read is no part of the machine, but a script among them is what the
// container runs.
func (j *judge) ownMount(a Assignment, m Mount, value string) {
	full := path.Join(path.Dir(j.u.File), value)
	files := j.l.below[full]
	_, isFile := j.l.files[full]
	if isFile {
		files = []string{full}
	}
	f := finding{effect: informs, kind: RiskInside, files: files, text: "mounts files of the release, read-only"}
	switch {
	case !m.ReadOnly && (!isFile || isQuadletFile(full)):
		f.effect, f.kind, f.files = endangers, RiskMount, nil
		f.text = "lets it write into the directory of the quadlets: what a container puts there, Podman runs on this machine"
	case !m.ReadOnly:
		f.effect, f.kind = asks, RiskMount
		f.text = "lets it change a file of the release"
	case j.l.anyScript(files), j.runs(m.Target):
		f.effect, f.text = asks, "mounts what the container runs from the files of the release"
	}
	j.note(a, f)
}

// movedFrom gives the path in the release of a mount that Leger has moved.
func (l *loader) movedFrom(source string) (at string, ok bool) {
	if len(l.own) == 0 {
		return "", false
	}
	return strings.CutPrefix(strings.ReplaceAll(source, "%%", "%"), path.Clean(l.data)+"/")
}

// movedMount notes what a container sees and may write in the directory that the
// release has for it. No program of this machine reads what is there.
func (j *judge) movedMount(a Assignment, m Mount, at string) {
	files := j.l.below[at]
	if _, isFile := j.l.files[at]; isFile {
		files = []string{at}
	}
	f := finding{effect: informs, kind: RiskInside, files: files, text: "mounts what the release's containers may write, in a directory of its own"}
	if j.l.anyScript(files) || j.runs(m.Target) {
		f.effect, f.text = asks, "mounts what the container runs from the files of the release, which it may change"
	}
	j.note(a, f)
}

// runs reports whether the container runs what is mounted at a place, or below it:
// by itself, or with an interpreter. To a program that is told to read it, it is
// data.
func (j *judge) runs(target string) bool {
	if j.commands == nil {
		j.commands = j.readCommands()
	}
	commands := j.commands
	for _, words := range commands {
		switch {
		case len(words) == 0:
		case under(path.Clean(words[0]), path.Clean(target)):
			return true
		case interprets(words[0]) && strings.Contains(strings.Join(words, " "), path.Clean(target)):
			return true
		}
	}
	return false
}

// readCommands are the commands that run in the container.
func (j *judge) readCommands() [][]string {
	command := func(key string) []string {
		a, _ := j.doc.last(j.u.Kind.Section(), key)
		words, _ := splitArgs(a.Value)
		return words
	}
	commands := [][]string{append(command("Entrypoint"), command("Exec")...), command("Exec"), command("ReloadCmd")}
	for _, key := range []string{"HealthCmd", "HealthStartupCmd"} {
		a, _ := j.doc.last(j.u.Kind.Section(), key)
		commands = append(commands, strings.Fields(a.Value))
	}
	return commands
}

// interprets reports whether a program runs what its arguments name.
func interprets(program string) bool {
	name := strings.TrimRight(path.Base(program), "0123456789.")
	return slices.Contains([]string{
		"sh", "bash", "ash", "dash", "zsh", "ksh", "busybox", "env", "python", "perl", "ruby", "node", "deno", "bun", "php", "lua", "java",
		"tini", "dumb-init", "su-exec", "gosu", "su", "sudo", "timeout", "nohup", "exec", "xargs",
	}, name)
}

// isQuadletFile: Podman reads it if it is there.
func isQuadletFile(name string) bool {
	_, ok := kindOf(path.Base(name))
	return ok || strings.HasSuffix(name, ".conf") && strings.HasSuffix(path.Dir(name), ".d")
}

// anyScript reports whether one of a list of files is a script.
func (l *loader) anyScript(files []string) bool {
	if len(files) == 0 {
		return false
	}
	id := listID{&files[0], len(files)}
	found, ok := l.scripts[id]
	if !ok {
		found = slices.ContainsFunc(files, l.isScript)
		l.scripts[id] = found
	}
	return found
}

// isScript reports whether a file of the release is something that is run.
func (l *loader) isScript(name string) bool {
	if strings.HasPrefix(string(l.files[name]), "#!") || strings.HasPrefix(string(l.files[name]), "\x7fELF") {
		return true
	}
	switch path.Ext(name) {
	case ".sh", ".bash", ".zsh", ".py", ".pl", ".rb", ".js", ".mjs", ".cjs", ".ts", ".lua", ".php", ".so", ".jar", ".wasm", ".exe":
		return true
	default:
		return false
	}
}
