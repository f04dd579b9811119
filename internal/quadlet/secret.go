package quadlet

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"leger.run/leger"
)

// secret reads NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…], or the
// id=NAME,src=FILE of a build. Podman's generator hands it on unread; the checks
// are those of "podman run", where a wrong one keeps the container from starting.
func (l *loader) secret(a Assignment, kind Kind) Secret {
	s := Secret{Type: "mount", File: a.File, Line: a.Line}
	first, options, _ := strings.Cut(a.Value, ",")
	if !strings.Contains(first, "=") {
		s.Name = first
	} else {
		options = a.Value
	}
	var rest []string
	var typed, mountOnly bool
	for option := range strings.SplitSeq(options, ",") {
		if options == "" {
			break
		}
		key, value, hasValue := strings.Cut(option, "=")
		switch {
		case !hasValue && kind != Build:
			l.secretProblem(a, "%s is not OPTION=VALUE", show(option))
		case key == "id" && kind == Build:
			s.Name = value
		case key == "source" && kind != Build:
			s.Name = value
		case key == "type":
			if typed && kind != Build {
				l.secretProblem(a, "it has two types")
			}
			s.Type, typed = value, true
		case key == "target":
			s.Target = value
		default:
			if kind != Build {
				mountOnly = true
				l.secretOption(a, key, value)
			}
			rest = append(rest, option)
		}
	}
	s.Options = strings.Join(rest, ",")
	l.checkSecret(a, kind, s, mountOnly)
	return s
}

func (l *loader) checkSecret(a Assignment, kind Kind, s Secret, mountOnly bool) {
	switch {
	case s.Name == "" || (!strings.Contains(a.Value, ",") && strings.Contains(a.Value, "=") && kind != Build):
		l.problemAt(a, "write Secret=NAME, perhaps with ,type=env,target=VARIABLE", "Secret= names no secret")
	case kind == Build:
	case s.Type != "mount" && s.Type != "env" && !strings.ContainsAny(s.Type, "%$"):
		l.secretProblem(a, "its type is %s", show(s.Type))
	case s.Type == "env" && mountOnly:
		l.secretProblem(a, "an environment variable has no owner and no mode")
	}
	if hint := s.Rename(); hint != "" && kind != Build {
		l.set.Notices = append(l.set.Notices, leger.Problem{
			File: a.File, Line: a.Line, Hint: hint,
			Message: "Leger cannot keep a secret named " + show(s.Name) + ": Podman must have it already, made by hand",
		})
	}
}

// Rename says what to write in place of a name that Podman takes and Leger does not
// (docs/adr/0010-secret-names-have-no-dots.md), so that the container sees no
// difference; "" for a name that both take, and for one with a specifier in it.
func (s Secret) Rename() string {
	if _, err := leger.ParseSecretName(s.Name); err == nil || s.Name == "" || strings.ContainsAny(s.Name, "%$") {
		return ""
	}
	name := []rune(strings.Map(func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '-') {
			return r
		}
		return '_'
	}, s.Name))
	if name[0] == '-' {
		name[0] = '_'
	}
	target := cmp.Or(s.Target, s.Name)
	return fmt.Sprintf("write Secret=%s,type=%s,target=%s and store it under that name", string(name[:min(len(name), 128)]), s.Type, target)
}

func (l *loader) secretProblem(a Assignment, format string, args ...any) {
	l.problemAt(a, "write Secret=NAME,type=env,target=VARIABLE or Secret=NAME,type=mount,target=FILE,uid=…,gid=…,mode=0400",
		"Podman would refuse the Secret=: "+format, args...)
}

// secretOption checks uid=, gid= and mode=.
func (l *loader) secretOption(a Assignment, key, value string) {
	base := 10
	switch key {
	case "uid", "UID", "gid", "GID":
	case "mode":
		base = 8
	default:
		l.secretProblem(a, "%s is not an option of secrets", show(key))
		return
	}
	if _, err := strconv.ParseUint(value, base, 32); err != nil && !strings.ContainsAny(value, "%$") {
		l.secretProblem(a, "%s=%s is not a number", key, show(value))
	}
}
