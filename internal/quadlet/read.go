package quadlet

import (
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"leger.run/leger"
)

// read finds out what a file is and takes it in.
func (l *loader) read(name string) {
	if !nameShowable(name) {
		l.problem(name, 0, "use letters, digits, '.', '_', '-' and '@'", "the file's name has a space, a quote, a backslash or a character that cannot be printed")
		return
	}
	base, dir := path.Base(name), path.Dir(name)
	l.checkDirectory(name, dir)
	if kind, ok := kindOf(base); ok {
		l.quadlet(name, kind, name, 0, l.files[name])
		return
	}
	target, isDropInDir := strings.CutSuffix(path.Base(dir), ".d")
	if _, ok := kindOf("x." + lastPart(target)); isDropInDir && ok && strings.HasSuffix(base, ".conf") {
		l.dropIn(name, target)
		return
	}
	switch path.Ext(base) {
	case ".quadlets":
		l.several(name)
	case ".service", ".timer", ".socket", ".path", ".target", ".mount":
		l.problem(name, 0, "remove it from the release's directory, or install it by hand in ~/.config/systemd/user",
			"it is a plain systemd unit: neither Podman nor systemd would find it among quadlets")
	case "." + string(Container), "." + string(Pod), "." + string(Volume), "." + string(Network), "." + string(Kube),
		"." + string(Image), "." + string(Build), "." + string(Artifact):
		l.problem(name, 0, "write a name before the suffix: web"+base, "the file has no name but its suffix")
	}
}

// quadlet takes in one quadlet, which is written in the file called written, from
// line first on; 0: it is the whole file.
func (l *loader) quadlet(name string, kind Kind, written string, first int, data []byte) {
	if other, ok := l.docs[name]; ok {
		l.problem(written, first, "rename one of them", "%s makes a quadlet of the same name, %s", other.Name, name)
		return
	}
	if len(data) > MaxQuadletSize {
		l.problem(written, first, "a quadlet is a page of text: put the data into a file of its own", "the quadlet has more than %d KiB", MaxQuadletSize>>10)
		return
	}
	if stem := strings.TrimSuffix(path.Base(name), "."+string(kind)); !unitName(stem) {
		l.problem(written, first, "use letters, digits, '.', '_', '-' and '@', and begin with a letter or digit",
			"no systemd unit can be named after this file")
	}
	doc, problems := parseAt(written, max(first, 1), data)
	doc.first = first
	l.add(problems...)
	l.requires(kind.Since(), written, first, "a ."+string(kind)+" file")
	l.docs[name], l.set.Files[name] = doc, data
	if _, ok := l.byBase[path.Base(name)]; !ok {
		l.byBase[path.Base(name)] = name
	}
	if dir := path.Dir(name); dir != "." {
		l.requires(Version{4, 7, 0}, written, first, "a quadlet in a subdirectory")
		if dirEndsInD(dir) {
			l.problem(written, first, "rename the directory", "Podman does not look for quadlets in %s, because its name ends in .d", dir)
		}
	}
}

// checkDirectory reports directories that Podman would take for a quadlet.
func (l *loader) checkDirectory(name, dir string) {
	for d := dir; d != "."; d = path.Dir(d) {
		if _, ok := kindOf(path.Base(d)); ok {
			l.problem(name, 0, "rename the directory", "Podman would try to read the directory %s as a quadlet", d)
		}
	}
}

func dirEndsInD(dir string) bool {
	for d := dir; d != "."; d = path.Dir(d) {
		if strings.HasSuffix(d, ".d") {
			return true
		}
	}
	return false
}

// lastPart is what follows the last dot, or all of it.
func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// IsQuadlet reports whether Podman reads a file of this name as a quadlet.
func IsQuadlet(file string) bool {
	_, ok := kindOf(path.Base(file))
	return ok
}

// kindOf tells a quadlet by its file's suffix.
func kindOf(base string) (Kind, bool) {
	stem, ext, ok := cutLast(base, ".")
	if ok && stem != "" && slices.Contains(Kinds(), Kind(ext)) {
		return Kind(ext), true
	}
	return "", false
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// nameShowable: a name reaches systemd, Podman's command line and the terminal.
func nameShowable(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return !leger.Printable(r) || unicode.IsSpace(r) || strings.ContainsRune(`\"'%`, r)
	})
}

// unitName reports whether a unit may be called name.service (systemd.unit(5)). A
// leading "-" is allowed by systemd and left out here: it would be an option to
// systemctl.
func unitName(name string) bool {
	const most = 200 // systemd takes 255 bytes with suffix; Podman adds up to 17
	return name != "" && len(name) <= most && name[0] != '-' && name[0] != '.' && name[0] != '@' &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r > unicode.MaxASCII || (!unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(":-_.@", r))
		})
}

// dropIn is a file that adds to quadlets: DIR/web.container.d/10-limits.conf.
type dropIn struct {
	doc  Document
	base string // the file it applies to, its directory left out: "web.container"
	used bool
}

func (l *loader) dropIn(name, target string) {
	if len(l.files[name]) > MaxQuadletSize {
		l.problem(name, 0, "a drop-in is a few lines", "the drop-in has more than %d KiB", MaxQuadletSize>>10)
		return
	}
	doc, problems := Parse(name, l.files[name])
	l.add(problems...)
	l.requires(Version{5, 0, 0}, name, 0, "a drop-in")
	if stem, _, _ := cutLast(target, "."); strings.HasSuffix(stem, "-") || !strings.Contains(target, ".") {
		l.requires(Version{5, 2, 0}, name, 0, "a drop-in for several quadlets")
	}
	if outer := path.Dir(path.Dir(name)); outer == "." || !dirEndsInD(outer) {
		l.dropIns = append(l.dropIns, dropIn{doc: doc, base: target})
	} else {
		l.problem(name, 0, "move it out of there", "Podman does not look for drop-ins in %s, because its name ends in .d", outer)
	}
	l.set.Files[name] = l.files[name]
}

// dropInsFor gives the drop-ins of a quadlet in the order in which they apply:
// by file name, and of the same name only the one from the most specific
// directory. For "web-1@a.container" these are, in this order:
// web-1@a.container.d, web-1@.container.d, web-@.container.d, web-.container.d,
// container.d.
func (l *loader) dropInsFor(file string, kind Kind) []Document {
	byName := map[string]Document{}
	for _, target := range dropInTargets(path.Base(file), kind) {
		for i := range l.dropIns {
			d := &l.dropIns[i]
			if d.base != target {
				continue
			}
			d.used = true
			name := path.Base(d.doc.Name)
			if _, taken := byName[name]; !taken {
				byName[name] = d.doc
			}
		}
	}
	var docs []Document
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		docs = append(docs, byName[name])
	}
	return docs
}

func dropInTargets(base string, kind Kind) []string {
	ext := "." + string(kind)
	targets := []string{base}
	unit, instance, isTemplate := strings.Cut(strings.TrimSuffix(base, ext), "@")
	if instance != "" {
		targets = append(targets, unit+"@"+ext)
	}
	for i := len(unit); i > 0; i-- {
		if unit[i-1] != '-' {
			continue
		}
		if isTemplate {
			targets = append(targets, unit[:i]+"@"+ext)
		}
		targets = append(targets, unit[:i]+ext)
	}
	return append(targets, string(kind))
}
