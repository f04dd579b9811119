package quadlet

import (
	"encoding/csv"
	"slices"
	"strings"
)

// MountType is what kind of thing is mounted.
type MountType string

// The types of mounts that Podman 5.8 knows.
const (
	MountVolume   MountType = "volume" // one of Podman's volumes; without a name an anonymous one
	MountBind     MountType = "bind"   // a path of the machine
	MountGlob     MountType = "glob"   // several paths of the machine
	MountImage    MountType = "image"
	MountArtifact MountType = "artifact"
	MountTmpfs    MountType = "tmpfs"
	MountRamfs    MountType = "ramfs"
	MountDevpts   MountType = "devpts"
)

// mounts reads Volume=, Mount= and Tmpfs=.
func (l *loader) mounts(u *Unit, doc Document) {
	section := u.Kind.Section()
	for _, a := range doc.all(section, "Volume") {
		m := l.volume(a)
		u.Volumes = append(u.Volumes, m)
		l.source(u, a, m.Source, false)
	}
	for _, a := range doc.args(section, "Mount") {
		m, ok := l.mount(a)
		switch {
		case !ok:
		case m.Type == MountTmpfs || m.Type == MountRamfs || m.Type == MountDevpts:
			u.Tmpfs = append(u.Tmpfs, m)
		default:
			u.Volumes = append(u.Volumes, m)
			l.source(u, a, m.Source, true)
		}
	}
	for _, a := range doc.all(section, "Tmpfs") {
		target, options, _ := strings.Cut(a.Value, ":")
		u.Tmpfs = append(u.Tmpfs, Mount{Type: MountTmpfs, Key: a.Key, Value: a.Value, Target: target, Options: options, File: a.File, Line: a.Line})
		l.checkTarget(a, target)
	}
}

// volume reads Volume=[SOURCE:]TARGET[:OPTIONS]. Podman's generator checks only
// that a quadlet which is named there exists; the rest here is what would keep the
// container from starting.
func (l *loader) volume(a Assignment) Mount {
	m := Mount{Key: a.Key, Value: a.Value, File: a.File, Line: a.Line}
	parts := strings.SplitN(a.Value, ":", 3)
	switch len(parts) {
	case 1:
		m.Target = parts[0]
	case 2:
		m.Source, m.Target = parts[0], parts[1]
	default:
		m.Source, m.Target, m.Options = parts[0], parts[1], parts[2]
	}
	options := strings.Split(m.Options, ",")
	m.ReadOnly = (slices.Contains(options, "ro") || slices.Contains(options, "O")) && !slices.Contains(options, "U")
	if m.Type = MountVolume; m.Source != "" && strings.ContainsRune("/.%~$", rune(m.Source[0])) {
		m.Type = MountBind
	}
	switch {
	case strings.ContainsAny(a.Value[:1], `"'`):
		l.problemAt(a, "leave out the quotes: the value is one piece, spaces and all", "the quotes of Volume=%s would be part of the path", show(a.Value))
	case strings.Contains(m.Options, ":"):
		l.problemAt(a, "write Volume=SOURCE:TARGET:OPTIONS, options divided by commas", "Volume=%s has too many colons", show(a.Value))
	default:
		l.checkTarget(a, m.Target)
	}
	return m
}

func (l *loader) checkTarget(a Assignment, target string) {
	switch {
	case strings.HasPrefix(target, "/"), strings.HasPrefix(target, "%"), strings.HasPrefix(target, "$"):
	case target == "":
		l.problemAt(a, "say where in the container it belongs: an absolute path", "%s=%s has no place in the container", a.Key, show(a.Value))
	default:
		l.problemAt(a, "write an absolute path", "%s is not an absolute path in the container", show(target))
	}
}

// mount reads one word of Mount=: values divided by commas as in a CSV file, among
// them type=, source= (or src=) and target= (or dst=, dest=, destination=).
func (l *loader) mount(a Assignment) (Mount, bool) {
	m := Mount{Type: MountVolume, Key: a.Key, Value: a.Value, File: a.File, Line: a.Line}
	fields, ok := l.mountFields(a)
	if !ok {
		return m, false
	}
	typed, sourceless, owned := false, false, false
	var rest []string
	for _, field := range fields {
		key, value, hasValue := strings.Cut(field, "=")
		switch {
		case !typed && key == "type" && hasValue && !strings.Contains(value, "="):
			m.Type, typed = MountType(value), true
			rest = append(rest, field)
		case key == "source" || key == "src":
			if m.Source != "" {
				m.Others = append(m.Others, m.Source)
			}
			m.Source, sourceless = value, sourceless || !hasValue
		case slices.Contains([]string{"target", "dst", "dest", "destination"}, key):
			m.Target = value
		default:
			yes := !hasValue || strings.EqualFold(value, "true")
			m.ReadOnly = m.ReadOnly || (key == "ro" || key == "readonly") && yes || key == "rw" && strings.EqualFold(value, "false")
			owned = owned || (key == "U" || key == "chown") && !strings.EqualFold(value, "false")
			rest = append(rest, field)
		}
	}
	m.Options, m.ReadOnly = strings.Join(rest, ","), m.ReadOnly && !owned
	if m.Type == MountArtifact {
		l.requires(Version{5, 5, 0}, a.File, a.Line, "Mount= of an artifact")
	}
	return m, l.checkMount(a, m, sourceless)
}

func (l *loader) mountFields(a Assignment) ([]string, bool) {
	records, err := csv.NewReader(strings.NewReader(a.Value)).ReadAll()
	if err != nil || len(records) != 1 {
		l.problemAt(a, "divide with commas, and put quotes around whole values only: type=bind,source=./conf,target=/conf", "Mount=%s cannot be read", show(a.Value))
		return nil, false
	}
	return records[0], true
}

// checkMount reports a mount that Podman would not make; false: nothing can be
// said of it.
func (l *loader) checkMount(a Assignment, m Mount, sourceless bool) bool {
	const hint = "say what is mounted, source=…, and where, target=/…"
	switch m.Type {
	case MountVolume, MountBind, MountGlob, MountImage, MountArtifact:
		if m.Source == "" || sourceless {
			l.problemAt(a, hint, "Mount= of the type %s has no source", m.Type)
			return false
		}
	case MountTmpfs, MountRamfs, MountDevpts:
	default:
		l.problemAt(a, "use type=volume, bind, glob, image, artifact, tmpfs, ramfs or devpts", "%s is not a type of mount", show(string(m.Type)))
		return false
	}
	if m.Type != MountGlob || m.Target != "" {
		l.checkTarget(a, m.Target)
	}
	return true
}
