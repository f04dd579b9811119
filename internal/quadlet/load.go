package quadlet

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"leger.run/leger"
)

// Limits of a release's directory. A quadlet is a screenful; 16 MiB leaves room
// for configuration files and no room for filling the disk.
const (
	MaxFiles     = 2000
	MaxFileSize  = 1 << 20  // bytes
	MaxTotalSize = 16 << 20 // bytes
)

// Limits of what is read as quadlets. What is over them is a problem.
const (
	// MaxQuadletSize is for one quadlet or drop-in, in bytes. The longest command
	// line that Linux takes as one argument is half of it.
	MaxQuadletSize = 256 << 10
	MaxUnits       = 500
	// MaxText is for all quadlets together, in bytes, each with its drop-ins: a
	// drop-in counts with every quadlet that it changes. 500 ordinary ones have half
	// of it.
	MaxText = 1 << 20
	// MaxPorts are looked at for ports that two units want.
	MaxPorts = 2000
	// MaxProblems are listed, and then how many more there are.
	MaxProblems = 200
)

// Options say what the reader of quadlets may know of the machine that they are
// for. The zero value knows nothing.
type Options struct {
	// Podman is the machine's; keys and features that it lacks are problems. Zero:
	// not known, all are taken that Podman 5.8 takes.
	Podman Version
	// Links are the symbolic links among the files, by path, with their targets as
	// written. One that leads to a file of the release is read as a copy of that
	// file (so are instances of templates made: "web@a.container" → "web@.container");
	// any other is a problem.
	Links map[string]string
	// Executable has those of the files that may be executed.
	Executable map[string]bool
	// Data is the absolute path of the directory that the release has for what its
	// containers write; "": not known. Writable relative mounts are moved there: see
	// Set.Data.
	Data string
}

// Load reads the quadlets of a directory and everything below it, except Git's
// own directory. A symbolic link is read as what Options.Links says, to which those
// that are found are added; other things that are not regular files are problems.
// Nothing outside the directory is ever read. The error is about reading: ErrTooLarge
// over the limits above, ErrNotFound when the directory is not there.
func Load(fsys fs.FS, options Options) (*Set, error) {
	w := walker{fsys: fsys, files: map[string][]byte{}, links: map[string]string{}, executable: map[string]bool{}}
	maps.Copy(w.links, options.Links)
	maps.Copy(w.executable, options.Executable)
	err := fs.WalkDir(fsys, ".", w.visit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, leger.Wrap(leger.CodeNotFound, err, "the directory does not exist")
	case err != nil && leger.CodeOf(err) != leger.CodeTooLarge:
		return nil, leger.Wrap(leger.CodeInvalid, err, "read the quadlets")
	case err != nil:
		return nil, err
	}
	options.Links, options.Executable = w.links, w.executable
	set := LoadFilesWith(w.files, options)
	set.Problems = append(set.Problems, w.problems...)
	sortProblems(set.Problems)
	return set, nil
}

type walker struct {
	fsys       fs.FS
	files      map[string][]byte
	links      map[string]string
	executable map[string]bool
	problems   []leger.Problem
	total      int
}

func (w *walker) visit(name string, entry fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case name == ".":
		return nil
	case strings.EqualFold(entry.Name(), ".git") && entry.IsDir():
		return fs.SkipDir
	case entry.IsDir():
		return nil
	case entry.Type()&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(w.fsys, name)
		if err != nil {
			target = "" // whatever it is, it is not a file of the release
		}
		w.links[name] = target
	case !entry.Type().IsRegular():
		w.problems = append(w.problems, leger.Problem{File: name, Message: "it is not a regular file", Hint: "put the file itself there"})
		return nil
	default:
		data, executable, err := readFile(w.fsys, name, entry)
		if err != nil {
			return err
		}
		w.files[name] = data
		if executable {
			w.executable[name] = true
		}
		w.total += len(data)
	}
	if w.total > MaxTotalSize || len(w.files)+len(w.links) > MaxFiles {
		return tooLarge("the directory has more than %d files or %d MiB", MaxFiles, MaxTotalSize>>20)
	}
	return nil
}

// readFile gives a file's content, and whether its owner may execute it: that is
// what Git would keep of its mode.
func readFile(fsys fs.FS, name string, entry fs.DirEntry) (data []byte, executable bool, err error) {
	info, err := entry.Info()
	if err != nil {
		return nil, false, err
	}
	if info.Size() > MaxFileSize {
		return nil, false, tooLarge("%s has more than %d MiB", name, MaxFileSize>>20)
	}
	data, err = fs.ReadFile(fsys, name)
	return data, info.Mode()&0o100 != 0, err
}

func tooLarge(format string, args ...any) error {
	return leger.Errorf(leger.CodeTooLarge, format, args...).
		WithHint("point the release at the directory that holds the quadlets alone")
}

// LoadFiles reads the quadlets among files, which are keyed by their path
// relative to the release's directory, with slashes.
func LoadFiles(files map[string][]byte) *Set { return LoadFilesWith(files, Options{}) }

// LoadFilesWith is LoadFiles for a machine that something is known of.
func LoadFilesWith(files map[string][]byte, options Options) *Set {
	l := newLoader(files, options)
	set := l.load()
	if options.Data == "" {
		return set
	}
	return l.relocated(files, options)
}

func newLoader(files map[string][]byte, options Options) *loader {
	l := &loader{
		files: maps.Clone(files), executable: map[string]bool{}, podman: options.Podman,
		set:  &Set{Files: map[string][]byte{}, Executable: map[string]bool{}},
		docs: map[string]Document{}, byBase: map[string]string{}, named: map[string]naming{},
		keys: map[string]map[string]Version{}, needed: map[[2]string]bool{}, hashes: map[string]string{}, told: map[string]bool{},
		sums: map[listID]string{}, scripts: map[listID]bool{},
		data: options.Data,
	}
	if l.files == nil {
		l.files = map[string][]byte{}
	}
	maps.Copy(l.executable, options.Executable)
	l.follow(options.Links)
	l.below = below(l.files)
	return l
}

// load reads what the loader was given.
func (l *loader) load() *Set {
	for _, name := range slices.SortedFunc(maps.Keys(l.files), comparePaths) {
		l.read(name)
	}
	slices.SortStableFunc(l.dropIns, func(a, b dropIn) int {
		return compareDirs(path.Dir(path.Dir(a.doc.Name)), path.Dir(path.Dir(b.doc.Name)))
	})
	l.units()
	for _, name := range slices.Sorted(maps.Keys(l.files)) {
		_, ok := l.set.Files[name]
		switch {
		case !ok && !l.split[name]:
			l.set.Ignored = append(l.set.Ignored, name)
		case ok && l.executable[name]:
			l.set.Executable[name] = true
		}
	}
	sortProblems(l.set.Problems)
	if l.more > 0 {
		l.set.Problems = append(l.set.Problems, leger.Problem{Message: fmt.Sprintf("there are %d more problems", l.more), Hint: "mend these first"})
	}
	sortRisks(l.set.Risks)
	return l.set
}

type loader struct {
	podman     Version
	files      map[string][]byte   // what is in the directory, links followed
	executable map[string]bool     // those of them that may be executed
	own        map[string]bool     // those that Leger has added
	data       string              // Options.Data
	split      map[string]bool     // files of several quadlets, which their parts replace
	below      map[string][]string // files below each directory
	needed     map[[2]string]bool  // what was noted already: quadlet, file
	set        *Set
	more       int                 // problems over MaxProblems
	docs       map[string]Document // by the quadlet's path
	byBase     map[string]string   // path of the quadlet that Podman takes for a name
	named      map[string]naming   // by the quadlet's path
	dropIns    []dropIn
	keys       map[string]map[string]Version // tables of sections, read once

	rulesByKey map[string]keyRule
	told       map[string]bool     // drop-ins for several quadlets that were noted
	sums       map[listID]string   // digests of lists of files
	scripts    map[listID]bool     // whether one of them is a script
	hashes     map[string]string   // SHA-256 by file, as far as it was asked for
	byName     map[string][]string // files by the last part of their path
}

func (l *loader) problem(file string, line int, hint, format string, args ...any) {
	l.add(leger.Problem{File: file, Line: line, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// add notes problems, and of those over MaxProblems how many there are.
func (l *loader) add(problems ...leger.Problem) {
	room := min(len(problems), MaxProblems-len(l.set.Problems))
	l.set.Problems = append(l.set.Problems, problems[:room]...)
	l.more += len(problems) - room
}

func (l *loader) problemAt(a Assignment, hint, format string, args ...any) {
	l.problem(a.File, a.Line, hint, format, args...)
}

// comparePaths orders files as Podman goes through directories: those of a
// directory first, then what is below it, each by name.
func comparePaths(a, b string) int {
	return cmp.Or(compareDirs(path.Dir(a), path.Dir(b)), cmp.Compare(a, b))
}

func compareDirs(a, b string) int {
	// "." and the separator sort before every character that a name may have.
	return cmp.Compare(strings.ReplaceAll(strings.TrimPrefix(a, "."), "/", "\x00"), strings.ReplaceAll(strings.TrimPrefix(b, "."), "/", "\x00"))
}

// below lists the files below each directory, "." for the top.
func below(files map[string][]byte) map[string][]string {
	dirs := map[string][]string{}
	for name := range files {
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			dirs[dir] = append(dirs[dir], name)
			if dir == "." || dir == "/" {
				break
			}
		}
	}
	return dirs
}

// follow puts a copy of its target in the place of each link that leads to a file
// of the release.
func (l *loader) follow(links map[string]string) {
	const most = 8 // links in a row
	found := map[string][]byte{}
	total := 0 // a link is a few bytes, its copy may be large
	for _, name := range slices.Sorted(maps.Keys(links)) {
		at := name
		for range most {
			target, isLink := links[at]
			if !isLink {
				break
			}
			if at = path.Join(path.Dir(at), target); path.IsAbs(target) || target == "" {
				at = ".."
			}
		}
		switch data, ok := l.files[at]; {
		case ok && total+len(data) > MaxTotalSize:
			l.problem(name, 0, "link fewer or smaller files", "the files behind symbolic links have more than %d MiB together", MaxTotalSize>>20)
		case ok:
			found[name] = data
			total += len(data)
			if l.executable[at] {
				l.executable[name] = true
			}
		case at == ".." || strings.HasPrefix(at, "../"):
			l.problem(name, 0, "put the file itself there", "it is a symbolic link that leaves the release's directory")
		default:
			l.problem(name, 0, "put the file itself there", "it is a symbolic link, but not to a file of the release")
		}
	}
	maps.Copy(l.files, found)
}
