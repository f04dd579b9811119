package quadlet

import (
	"path"
	"strconv"
	"strings"
)

// A path of the machine as a quadlet names it. The home directory and the runtime
// directory of the user are not known here, so two names stand for them.
const (
	homeDir    = "/home/~"
	runtimeDir = "/run/user/~"
)

// directories are systemd's specifiers for places of a user's machine
// (systemd.unit(5), "Specifiers", for the manager of a user).
func directories() map[byte]string {
	return map[byte]string{
		'h': homeDir, 't': runtimeDir, 'E': homeDir + "/.config", 'S': homeDir + "/.local/state",
		'L': homeDir + "/.local/state/log", 'C': homeDir + "/.cache", 'D': homeDir + "/.local/share",
		'T': "/tmp", 'V': "/var/tmp", 'u': "~", 'U': "~", '%': "%",
	}
}

// resolve replaces what systemd replaces in a value: specifiers and "$$". What is
// left over, because only the machine knows it, comes as unknown: a specifier, a
// variable, or (with globs) a pattern of a shell.
func resolve(value, service string) (text, unknown string) {
	var b strings.Builder
	known, stem := directories(), strings.TrimSuffix(service, ".service")
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '$' && i+1 < len(value) && value[i+1] == '$':
			b.WriteByte('$')
			i++
		case c == '$':
			return b.String(), variable(value[i:])
		case c != '%':
			b.WriteByte(c)
		case i+1 == len(value):
			return b.String(), "%"
		default:
			i++
			if dir, ok := known[value[i]]; ok {
				b.WriteString(dir)
			} else if name, ok := nameSpecifier(value[i], service, stem); ok {
				b.WriteString(name)
			} else {
				return b.String(), "%" + value[i:i+1]
			}
		}
	}
	return b.String(), ""
}

// variable is the variable at the beginning of a text, as written.
func variable(text string) string {
	end := strings.IndexFunc(text[1:], func(r rune) bool {
		return r != '{' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	if end < 0 {
		return text
	}
	if text[1+end] == '}' {
		end++
	}
	return text[:1+end]
}

// nameSpecifier is what a unit's name answers; false for the instance of a
// template and for what is no such specifier.
func nameSpecifier(specifier byte, service, stem string) (string, bool) {
	prefix, instance, isInstance := strings.Cut(stem, "@")
	if isInstance && instance == "" && strings.IndexByte("iInNf", specifier) >= 0 {
		return "", false // of a template: only its instances know
	}
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	switch specifier {
	case 'n':
		return service, true
	case 'N':
		return stem, true
	case 'p':
		return prefix, true
	case 'P':
		return unescape(prefix), true
	case 'i':
		return instance, true
	case 'I':
		return unescape(instance), true
	case 'j':
		return last, true
	case 'J':
		return unescape(last), true
	case 'f':
		if isInstance {
			return path.Join("/", unescape(instance)), true
		}
		return path.Join("/", unescape(prefix)), true
	default:
		return "", false
	}
}

// unescape undoes systemd's escaping of paths in names of units (systemd-escape(1)).
func unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == '-':
			b.WriteByte('/')
		case strings.HasPrefix(name[i:], `\x`) && i+3 < len(name):
			if c, err := strconv.ParseUint(name[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
			b.WriteByte(name[i])
		default:
			b.WriteByte(name[i])
		}
	}
	return b.String()
}

// hostPath resolves a path of the machine. An unknown part is told; the path is
// then what comes before it.
func hostPath(value, service string, globs bool) (clean, unknown string) {
	text, unknown := resolve(value, service)
	if i := strings.IndexAny(text, "*?["); globs && i >= 0 {
		text, unknown = text[:i], text[i:]
	}
	switch {
	case unknown != "":
		return text, unknown
	case strings.HasPrefix(text, "~") && strings.Contains(text, ".."):
		return "", "~" // nobody replaces it; a directory may be called so
	case text == "~" || strings.HasPrefix(text, "~/"):
		text = homeDir + text[1:]
	case !strings.HasPrefix(text, "/"):
		text = homeDir + "/" + text // where a user's services run
	}
	return canonical(path.Clean(text)), ""
}

// canonical gives one name to places that have several.
func canonical(clean string) string {
	for _, alias := range []struct{ from, to string }{
		{"/var/run", "/run"}, {"/var/home", "/home"}, {"/root", homeDir}, {"/proc/self/root", "/"}, {"/proc/1/root", "/"},
	} {
		if rest, ok := strings.CutPrefix(clean, alias.from); ok && (rest == "" || rest[0] == '/') {
			clean = path.Join(alias.to, rest)
		}
	}
	parts := strings.SplitN(clean, "/", 4)
	if len(parts) > 3 && parts[1] == "run" && parts[2] == "user" {
		user, rest, ok := strings.Cut(parts[3], "/")
		if _, err := strconv.Atoi(user); err == nil {
			parts[3] = "~"
			if ok {
				parts[3] += "/" + rest
			}
		}
	}
	return strings.Join(parts, "/")
}

// inHome reports whether a resolved path is a home directory, whoever's, or below
// one; rest is what follows, "" for the directory itself.
func inHome(clean string) (rest string, ok bool) {
	below, ok := strings.CutPrefix(clean, "/home/")
	if !ok {
		return "", false
	}
	_, rest, _ = strings.Cut(below, "/")
	return rest, true
}

// readable is a resolved path as people write it.
func readable(clean string) string {
	if rest, ok := strings.CutPrefix(clean, runtimeDir); ok {
		return "/run/user/UID" + rest
	}
	if rest, ok := strings.CutPrefix(clean, homeDir); ok && (rest == "" || rest[0] == '/') {
		return "~" + rest
	}
	return clean
}
