package quadlet

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"leger.run/leger"
)

// dataDropIn is the file with which Leger moves a quadlet's writable mounts. It is
// the last of all drop-ins of a quadlet.
const dataDropIn = "zz-leger-data.conf"

// relocation moves what containers may write out of the release's directory, in
// which Podman looks for quadlets: a container that writes evil.container beside
// its quadlet has it run on the machine after the next reload. Every relative mount
// that is writable gets the directory Options.Data/PATH instead, by a drop-in of
// Leger's own; the files of the release stay as they are.
type relocation struct {
	l        *loader
	data     string
	roots    map[string]bool // paths that are moved; true: a file
	mounts   []relativeMount
	problems []leger.Problem
}

// relativeMount is a mount whose source is relative to its quadlet.
type relativeMount struct {
	unit  string // its file
	mount Mount
	at    string // the source, relative to the release's directory
}

// relocated gives the set with its writable mounts moved; the set itself if it has
// none.
func (l *loader) relocated(files map[string][]byte, options Options) *Set {
	r := relocation{l: l, data: options.Data, roots: map[string]bool{}}
	r.find(options.Podman)
	if len(r.roots) == 0 && len(r.problems) == 0 {
		return l.set
	}
	all := maps.Clone(files)
	own := map[string]bool{}
	for _, u := range l.set.Units {
		if text := r.dropIn(u); text != "" {
			name := path.Join(path.Dir(u.File), path.Base(u.File)+".d", dataDropIn)
			if _, taken := l.files[name]; taken {
				r.problems = append(r.problems, leger.Problem{File: name, Message: "the name is Leger's: with such a file it moves what a container writes", Hint: "rename it"})
				continue
			}
			all[name], own[name] = []byte(text), true
		}
	}
	second := newLoader(all, options)
	second.own = own
	set := second.load()
	r.finish(set)
	return set
}

// find collects the mounts that are moved.
func (r *relocation) find(podman Version) {
	for _, u := range r.l.set.Units {
		for _, m := range u.Volumes {
			if m.relative() {
				r.mounts = append(r.mounts, relativeMount{u.File, m, path.Join(path.Dir(u.File), m.Source)})
			}
		}
	}
	for _, m := range r.mounts {
		if !m.mount.ReadOnly && r.movable(m, podman) {
			_, isFile := r.l.files[m.at]
			r.roots[m.at] = isFile
		}
	}
	for _, m := range r.mounts {
		r.checkNested(m)
		if m.mount.ReadOnly {
			r.checkReader(m)
		}
	}
}

// relative reports whether Podman resolves the source, or another one that is
// named, against the quadlet's directory.
func (m Mount) relative() bool {
	if m.Type != MountBind && m.Type != MountGlob && m.Type != MountVolume {
		return false
	}
	return strings.HasPrefix(m.Source, ".") || slices.ContainsFunc(m.Others, func(s string) bool { return strings.HasPrefix(s, ".") })
}

func (r *relocation) problem(m relativeMount, hint, format string, args ...any) {
	r.problems = append(r.problems, leger.Problem{
		File: m.mount.File, Line: m.mount.Line, Hint: hint,
		Message: fmt.Sprintf("%s=%s ", m.mount.Key, show(m.mount.Value)) + fmt.Sprintf(format, args...),
	})
}

// movable reports whether a writable mount can be moved; where it cannot, why.
func (r *relocation) movable(m relativeMount, podman Version) bool {
	const hint = "make it read-only, or write an absolute path outside of ~/.config/containers/systemd, such as %h/data"
	_, isFile := r.l.files[m.at]
	below := r.l.below[m.at]
	if isFile {
		below = []string{m.at}
	}
	switch {
	case m.mount.Type == MountGlob, len(m.mount.Others) > 0, strings.ContainsAny(m.mount.Source, "%$*?["):
		r.problem(m, hint, "lets a container write among the quadlets, and where cannot be told")
	case m.at == ".." || strings.HasPrefix(m.at, "../"):
		return false // it leaves the release's directory, which is a problem of its own
	case slices.ContainsFunc(append(below, m.at), isQuadletFile), m.at == ".":
		r.problem(m, "mount a directory of its own, without quadlets in it, or make it read-only",
			"lets a container change the quadlets themselves, which run on this machine")
	case strings.ContainsAny(r.data, ":,\"'\\$") || strings.ContainsFunc(r.data, deceives):
		r.problem(m, hint, "lets a container write among the quadlets, and cannot be moved to %s: the path has a character that Podman does not take in a mount", show(r.data))
	case podman != (Version{}) && podman.Before(Version{5, 0, 0}):
		r.problem(m, hint, "lets a container write among the quadlets; Leger moves it out of there with Podman 5.0 or newer, and this is %s", podman)
	default:
		return true
	}
	return false
}

// checkNested reports a mount of something below a directory that a container can
// write: it could put a link to anything of the machine in its place, and the next
// start would mount that.
func (r *relocation) checkNested(m relativeMount) {
	for root := range r.roots {
		if m.at != root && inside(m.at, root) {
			r.problem(m, "mount "+root+" in both places, or use a directory beside it",
				"lies in %s, which a container may write: it could put a link to something else there", root)
			return
		}
	}
}

// checkReader reports a read-only mount that would not show what a container
// writes, because that lies somewhere else.
func (r *relocation) checkReader(m relativeMount) {
	from := m.at
	if i := strings.IndexAny(m.mount.Source, "%$*?["); i >= 0 {
		from = path.Join(path.Dir(m.unit), path.Dir(m.mount.Source[:i]+"x"))
	} else if r.moves(m) {
		return
	}
	for root := range r.roots {
		if inside(root, from) || (from != m.at && inside(from, root)) {
			r.problem(m, "mount "+root+" by itself, too, or put what is written into a directory that nothing else mounts",
				"would not show what is written to %s, which Leger keeps in a directory of its own", root)
			return
		}
	}
}

// moves reports whether a mount is moved: something writes there.
func (r *relocation) moves(m relativeMount) bool {
	_, ok := r.roots[m.at]
	return ok && len(m.mount.Others) == 0 && !strings.ContainsAny(m.mount.Source, "%$*?[")
}

// inside reports whether a path of the release is a directory or below it.
func inside(name, dir string) bool {
	return name == dir || dir == "." || strings.HasPrefix(name, dir+"/")
}

// dropIn is what moves the mounts of a unit; "" if it has none that are moved. A
// key that may come several times is set anew as a whole.
func (r *relocation) dropIn(u Unit) string {
	moved := map[string]bool{}
	for _, m := range r.mounts {
		if m.unit == u.File && r.moves(m) {
			moved[m.mount.Key] = true
		}
	}
	if len(moved) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by Leger: what a container may write is kept out of the quadlets' directory.\n[%s]\n", u.Kind.Section())
	for _, key := range slices.Sorted(maps.Keys(moved)) {
		b.WriteString(key + "=\n")
		for _, m := range slices.Concat(u.Volumes, u.Tmpfs) {
			if m.Key != key {
				continue
			}
			at := relativeMount{u.File, m, path.Join(path.Dir(u.File), m.Source)}
			value := m.Value
			if m.relative() && r.moves(at) {
				value = m.from(strings.ReplaceAll(path.Join(r.data, at.at), "%", "%%"))
			}
			if key == "Mount" { // a word of a list, which has no quotes any more
				value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
			}
			b.WriteString(key + "=" + value + "\n")
		}
	}
	return b.String()
}

// from is the mount's value with another source.
func (m Mount) from(source string) string {
	if m.Key == "Volume" {
		return source + strings.TrimPrefix(m.Value, m.Source)
	}
	fields, err := csv.NewReader(strings.NewReader(m.Value)).Read()
	if err != nil {
		return m.Value // it was read before
	}
	for i, field := range fields {
		if key, _, _ := strings.Cut(field, "="); key == "source" || key == "src" {
			fields[i] = key + "=" + source
		}
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // to memory
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// finish completes the set that was read with the drop-ins.
func (r *relocation) finish(set *Set) {
	set.Problems = append(set.Problems, r.problems...)
	sortProblems(set.Problems)
	set.Data = map[string][]byte{}
	for root, isFile := range r.roots {
		if !isFile {
			set.DataDirs = append(set.DataDirs, root)
		}
		for name, data := range r.l.files {
			if inside(name, root) {
				set.Data[name] = data
				if r.l.executable[name] {
					set.Executable[name] = true
				}
			}
		}
	}
	slices.Sort(set.DataDirs)
	set.Ignored = slices.DeleteFunc(set.Ignored, func(name string) bool { _, ok := set.Data[name]; return ok })
	for i, u := range set.Units {
		for _, m := range r.mounts {
			if m.unit != u.File || !r.moves(m) {
				continue
			}
			for name := range set.Data {
				if inside(name, m.at) {
					set.Units[i].Parts = append(set.Units[i].Parts, name)
				}
			}
		}
		slices.Sort(set.Units[i].Parts)
		set.Units[i].Parts = slices.Compact(set.Units[i].Parts)
	}
}

// checkOwnDropIn reports a drop-in that would undo Leger's own, which has to be the
// last of its quadlet.
func (l *loader) checkOwnDropIn(file string, dropIns []string) {
	ours := slices.ContainsFunc(dropIns, func(d string) bool { return l.own[d] })
	for _, d := range dropIns {
		if ours && !l.own[d] && path.Base(d) >= dataDropIn {
			l.problem(d, 0, "give it a name that begins with a digit", "it would come after %s, with which Leger keeps what %s writes out of the quadlets' directory", dataDropIn, file)
		}
	}
}

// WritesBesideQuadlets lists the mounts through which a container can write into
// the release's directory, where Podman looks for quadlets. There are none in a set
// that was read with Options.Data and has no problems.
func (s *Set) WritesBesideQuadlets() []Mount {
	var all []Mount
	for _, u := range s.Units {
		for _, m := range u.Volumes {
			if m.relative() && !m.ReadOnly {
				all = append(all, m)
			}
		}
	}
	return all
}
