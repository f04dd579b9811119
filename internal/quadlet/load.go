package quadlet

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"leger.run/leger"
)

// Limits of a release's directory. A quadlet is a screenful; 16 MiB leaves room
// for configuration files and no room for filling the disk.
const (
	MaxFiles     = 2000
	MaxFileSize  = 1 << 20  // bytes
	MaxTotalSize = 16 << 20 // bytes
)

// Load reads the quadlets of a directory and everything below it, except Git's
// own directory. Symbolic links and other things that are not regular files
// are problems; they are never followed. The error is about reading: ErrTooLarge
// over the limits above, ErrNotFound when the directory is not there.
func Load(fsys fs.FS) (*Set, error) {
	files := map[string][]byte{}
	var problems []leger.Problem
	total := 0
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.EqualFold(entry.Name(), ".git") && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			problems = append(problems, notRegular(name, entry.Type()))
			return nil
		}
		data, err := readFile(fsys, name, entry)
		if err != nil {
			return err
		}
		files[name] = data
		if total += len(data); total > MaxTotalSize || len(files) > MaxFiles {
			return tooLarge("the directory has more than %d files or %d MiB", MaxFiles, MaxTotalSize>>20)
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, leger.Wrap(leger.CodeNotFound, err, "the directory does not exist")
	case err != nil && leger.CodeOf(err) != leger.CodeTooLarge:
		return nil, leger.Wrap(leger.CodeInvalid, err, "read the quadlets")
	case err != nil:
		return nil, err
	}
	set := LoadFiles(files)
	set.Problems = append(set.Problems, problems...)
	sortProblems(set.Problems)
	return set, nil
}

func readFile(fsys fs.FS, name string, entry fs.DirEntry) ([]byte, error) {
	info, err := entry.Info()
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxFileSize {
		return nil, tooLarge("%s has more than %d MiB", name, MaxFileSize>>20)
	}
	return fs.ReadFile(fsys, name)
}

func tooLarge(format string, args ...any) error {
	return leger.Errorf(leger.CodeTooLarge, format, args...).
		WithHint("point the release at the directory that holds the quadlets alone")
}

func notRegular(name string, mode fs.FileMode) leger.Problem {
	what := "not a regular file"
	if mode&fs.ModeSymlink != 0 {
		what = "a symbolic link"
	}
	return leger.Problem{File: name, Message: "it is " + what, Hint: "put the file itself there: links are never followed"}
}

// LoadFiles reads the quadlets among files, which are keyed by their path
// relative to the release's directory, with slashes.
func LoadFiles(files map[string][]byte) *Set {
	l := loader{files: files, set: &Set{Files: map[string][]byte{}}, docs: map[string]Document{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		l.read(name)
	}
	for _, name := range slices.Sorted(maps.Keys(l.docs)) {
		l.unit(name)
	}
	l.checkSet()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, ok := l.set.Files[name]; !ok {
			l.set.Ignored = append(l.set.Ignored, name)
		}
	}
	sortProblems(l.set.Problems)
	sortRisks(l.set.Risks)
	return l.set
}

type loader struct {
	files   map[string][]byte
	set     *Set
	docs    map[string]Document // quadlets
	dropIns []dropIn
}

// dropIn is a file that adds to quadlets: DIR/web.container.d/10-limits.conf.
type dropIn struct {
	doc  Document
	base string // the file it applies to, its directory left out: "web.container"
	used bool
}

func (l *loader) problem(file string, line int, hint, format string, args ...any) {
	l.set.Problems = append(l.set.Problems, leger.Problem{
		File: file, Line: line, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

func (l *loader) read(name string) {
	if !nameShowable(name) {
		l.problem(name, 0, "use letters, digits, '.', '_', '-' and '@'", "the file's name has a space, a quote, a backslash or a character that cannot be printed")
		return
	}
	base, dir := path.Base(name), path.Dir(name)
	if kind, ok := kindOf(base); ok {
		doc, problems := Parse(name, l.files[name])
		l.set.Problems = append(l.set.Problems, problems...)
		l.checkName(name, kind)
		l.docs[name] = doc
		l.set.Files[name] = l.files[name]
		return
	}
	target, isDropInDir := strings.CutSuffix(path.Base(dir), ".d")
	if _, ok := kindOf("x." + strings.TrimPrefix(path.Ext("."+target), ".")); isDropInDir && ok && strings.HasSuffix(base, ".conf") {
		doc, problems := Parse(name, l.files[name])
		l.set.Problems = append(l.set.Problems, problems...)
		l.dropIns = append(l.dropIns, dropIn{doc: doc, base: target})
		l.set.Files[name] = l.files[name]
		return
	}
	switch path.Ext(base) {
	case ".quadlets":
		l.problem(name, 0, "put each quadlet into a file of its own", "a file of several quadlets is not supported")
	case ".service", ".timer", ".socket", ".path", ".target", ".mount":
		l.problem(name, 0, "remove it from the release's directory, or install it by hand in ~/.config/systemd/user",
			"it is a plain systemd unit: neither Podman nor systemd would find it among quadlets")
	}
}

// kindOf tells a quadlet by its file's suffix.
func kindOf(base string) (Kind, bool) {
	ext := strings.TrimPrefix(path.Ext(base), ".")
	if slices.Contains(Kinds(), Kind(ext)) && base != "."+ext {
		return Kind(ext), true
	}
	return "", false
}

// nameShowable: a name reaches systemd, Podman's command line and the terminal.
func nameShowable(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune(`\"'%`, r)
	})
}

// checkName holds the stem to what systemd takes as a unit's name
// (systemd.unit(5)); Podman builds the service's name from it.
func (l *loader) checkName(name string, kind Kind) {
	stem := strings.TrimSuffix(path.Base(name), "."+string(kind))
	if !unitName(stem) {
		l.problem(name, 0, "use letters, digits, '.', '_', '-' and '@', and begin with a letter or digit",
			"no systemd unit can be named after this file")
	}
}

// unitName reports whether a unit may be called name.service. A leading "-" is
// allowed by systemd and left out here: it would be an option to systemctl.
func unitName(name string) bool {
	const most = 200 // systemd takes 255 bytes with suffix; Podman adds up to 17
	return name != "" && len(name) <= most && name[0] != '-' && name[0] != '.' &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r > unicode.MaxASCII || (!unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(":-_.@", r))
		})
}

// dropInsFor gives the drop-ins of a quadlet in the order in which they apply:
// by file name, and of the same name only the one from the most specific
// directory ("web-1.container.d" before "web-.container.d" before "container.d").
func (l *loader) dropInsFor(file string, kind Kind) []Document {
	base := path.Base(file)
	stem := strings.TrimSuffix(base, "."+string(kind))
	targets := []string{base}
	for i := len(stem) - 1; i > 0; i-- {
		if stem[i-1] == '-' {
			targets = append(targets, stem[:i]+"."+string(kind))
		}
	}
	targets = append(targets, string(kind))
	byName := map[string]Document{}
	for _, target := range targets {
		for i := range l.dropIns {
			d := &l.dropIns[i]
			if d.base != target {
				continue
			}
			d.used = true
			if name := path.Base(d.doc.Name); byName[name].Name == "" {
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
