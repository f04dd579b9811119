package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// store keeps generations on disk:
//
//	DIR/.lock                              held by whoever changes something (see lock)
//	DIR/APP/current.json                   {"generation": N}; absent: not installed
//	DIR/APP/pending.json                   {"generations": [N, …]}: what an unfinished deployment may have installed
//	DIR/APP/generations/N/manifest.json    a Generation
//	DIR/APP/generations/N/files/PATH       the content of its files
//	DIR/APP/generations/N/committed        it has been the current one: one can go back to it
//	DIR/APP/failed.json                    what did not come up (see Failure)
//
// A generation is complete before pending.json names it, and pending.json names
// it before any of its files is installed. Everything is the user's alone (0700,
// 0600): quadlets may hold what is nobody else's business.
type store struct {
	dir  string
	disk safefile.Disk
}

type currentFile struct {
	Generation int `json:"generation"`
}

type pendingFile struct {
	Generations []int `json:"generations"`
}

func (s store) app(app string) string     { return filepath.Join(s.dir, app) }
func (s store) current(app string) string { return filepath.Join(s.dir, app, "current.json") }
func (s store) pending(app string) string { return filepath.Join(s.dir, app, "pending.json") }
func (s store) generation(app string, n int) string {
	return filepath.Join(s.dir, app, "generations", strconv.Itoa(n))
}

func wrapDisk(err error, what string) error {
	return leger.WrapFile(leger.CodeDisk, err, "%s", what).WithHint("check the space and the permissions of the directory")
}

// apps lists the releases that something is recorded of.
func (s store) apps() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrapDisk(err, "list the deployments")
	}
	var names []string
	for _, e := range entries {
		if _, err := leger.ParseReleaseName(e.Name()); err == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// record is what is known of one release.
type record struct {
	current *Generation
	pending []Generation
	next    int // the number that no generation has had yet
}

func (s store) load(app string) (record, error) {
	var r record
	numbers, err := s.numbers(app)
	if err != nil {
		return r, err
	}
	r.next = 1
	if len(numbers) > 0 {
		r.next = slices.Max(numbers) + 1
	}
	var c currentFile
	if found, err := readJSON(s.current(app), &c); err != nil {
		return r, err
	} else if found {
		g, err := s.manifest(app, c.Generation)
		if err != nil {
			return r, err
		}
		r.current = &g
	}
	var p pendingFile
	if _, err := readJSON(s.pending(app), &p); err != nil {
		return r, err
	}
	for _, n := range p.Generations {
		g, err := s.manifest(app, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten halfway: its files were gone before
		} else if err != nil {
			return r, err
		}
		r.pending = append(r.pending, g)
	}
	return r, nil
}

func (s store) numbers(app string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Join(s.app(app), "generations"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrapDisk(err, "list the generations")
	}
	var all []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 {
			all = append(all, n)
		}
	}
	return all, nil
}

func (s store) manifest(app string, n int) (Generation, error) {
	var g Generation
	path := filepath.Join(s.generation(app, n), "manifest.json")
	switch found, err := readJSON(path, &g); {
	case err != nil:
		return g, err
	case !found:
		return g, leger.Wrap(leger.CodeInternal, fs.ErrNotExist, "generation %d of %s is not on disk", n, app)
	case g.Format != manifestFormat:
		return g, leger.Errorf(leger.CodeConflict, "generation %d of %s was recorded by another version of Leger (format %d)", n, app, g.Format).
			WithHint("use the version of Leger that installed it, or a newer one")
	}
	return g, nil
}

// files gives the content of a generation's files, held against its hashes.
func (s store) files(app string, g Generation) (map[string]leger.File, error) {
	files := map[string]leger.File{}
	for _, f := range slices.Concat(g.Files, g.Data) {
		data, err := os.ReadFile(filepath.Join(s.generation(app, g.Number), "files", filepath.FromSlash(f.Path)))
		if err != nil {
			return nil, wrapDisk(err, "read a recorded file")
		}
		if hash(data) != f.SHA256 {
			return nil, leger.Errorf(leger.CodeInternal, "the recorded %s of generation %d was changed", f.Path, g.Number).
				WithHint("install the release anew: leger deploy install")
		}
		files[f.Path] = leger.File{Data: data, Executable: f.Executable}
	}
	return files, nil
}

// write records a generation. What a crash left under its number is replaced.
func (s store) write(app string, g Generation, files map[string][]byte) error {
	final := s.generation(app, g.Number)
	if err := s.disk.MakeDir(filepath.Dir(final), 0o700); err != nil {
		return wrapDisk(err, "make the directory of generations")
	}
	temp, err := os.MkdirTemp(filepath.Dir(final), ".new-")
	if err != nil {
		return wrapDisk(err, "make the directory of a generation")
	}
	defer func() { _ = os.RemoveAll(temp) }()
	for name, data := range files {
		if err := checkName(name); err != nil {
			return err
		}
		path := filepath.Join(temp, "files", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return wrapDisk(err, "record a file")
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return wrapDisk(err, "record a file")
		}
	}
	if err := s.writeJSON(filepath.Join(temp, "manifest.json"), g); err != nil {
		return err
	}
	if err := s.disk.SyncTree(temp); err != nil {
		return wrapDisk(err, "record the generation")
	}
	if err := os.RemoveAll(final); err != nil {
		return wrapDisk(err, "record the generation")
	}
	if err := s.disk.Rename(temp, final); err != nil {
		return wrapDisk(err, "record the generation")
	}
	return nil
}

// begin notes that a generation may be on disk from now on.
func (s store) begin(app string, before []Generation, n int) error {
	p := pendingFile{Generations: []int{n}}
	for _, g := range before {
		if g.Number != n {
			p.Generations = append(p.Generations, g.Number)
		}
	}
	return s.writeJSON(s.pending(app), p)
}

// commit makes a generation the current one and forgets what is pending, whose
// files are not installed any more.
func (s store) commit(app string, n int, pending []Generation) error {
	if err := s.disk.Write(s.committed(app, n), nil, 0o600); err != nil {
		return wrapDisk(err, "record the generation")
	}
	if err := s.writeJSON(s.current(app), currentFile{n}); err != nil {
		return err
	}
	return s.forget(app, n, pending)
}

// forget ends a deployment: nothing is pending any more, and of the generations
// that were only keep stays, and those that have been current before.
func (s store) forget(app string, keep int, pending []Generation) error {
	if err := os.Remove(s.pending(app)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrapDisk(err, "end the deployment")
	}
	if err := s.disk.Sync(s.app(app)); err != nil {
		return wrapDisk(err, "end the deployment")
	}
	for _, g := range pending {
		if g.Number != keep {
			if err := s.drop(app, g.Number); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s store) committed(app string, n int) string {
	return filepath.Join(s.generation(app, n), "committed")
}

func (s store) wasCurrent(app string, n int) bool {
	_, err := os.Stat(s.committed(app, n))
	return err == nil
}

// committedNumbers lists the generations that one can go back to, rising.
func (s store) committedNumbers(app string, current int) ([]int, error) {
	numbers, err := s.numbers(app)
	if err != nil {
		return nil, err
	}
	numbers = slices.DeleteFunc(numbers, func(n int) bool { return n != current && !s.wasCurrent(app, n) })
	slices.Sort(numbers)
	return numbers, nil
}

// maxGenerations is how many one can go back to; each is a few kilobytes.
const maxGenerations = 10

// prune removes the oldest generations and what a crash left under a number.
// Nothing is pending then.
func (s store) prune(app string, current int) error {
	numbers, err := s.numbers(app)
	if err != nil {
		return err
	}
	slices.SortFunc(numbers, func(a, b int) int { return b - a })
	kept := 0
	if err := s.sweep(app); err != nil {
		return err
	}
	for _, n := range numbers {
		if n == current {
			continue
		}
		if s.wasCurrent(app, n) && kept < maxGenerations-1 {
			kept++
			continue
		}
		if err := s.erase(app, n); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a generation that never became the current one.
func (s store) drop(app string, n int) error {
	if s.wasCurrent(app, n) {
		return nil
	}
	return s.erase(app, n)
}

// erase removes a generation: it is there, whole, or it is gone, wherever the
// removal is cut off.
func (s store) erase(app string, n int) error {
	final := s.generation(app, n)
	gone := filepath.Join(filepath.Dir(final), ".gone-"+strconv.Itoa(n))
	if err := os.RemoveAll(gone); err != nil {
		return wrapDisk(err, "forget a generation")
	}
	if err := os.Rename(final, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrapDisk(err, "forget a generation")
	}
	if err := os.RemoveAll(gone); err != nil {
		return wrapDisk(err, "forget a generation")
	}
	return nil
}

// sweep removes what a crash left of generations that came or went.
func (s store) sweep(app string) error {
	for _, pattern := range []string{".gone-*", ".new-*"} {
		left, err := filepath.Glob(filepath.Join(s.app(app), "generations", pattern))
		if err != nil {
			return wrapDisk(err, "forget a generation")
		}
		for _, dir := range left {
			if err := os.RemoveAll(dir); err != nil {
				return wrapDisk(err, "forget a generation")
			}
		}
	}
	return nil
}

// remove forgets a release. current.json goes first: without it the rest is
// nobody's.
func (s store) remove(app string) error {
	for _, path := range []string{s.current(app), s.pending(app)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wrapDisk(err, "forget the deployment")
		}
	}
	if err := s.disk.Sync(s.app(app)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrapDisk(err, "forget the deployment")
	}
	if err := os.RemoveAll(s.app(app)); err != nil {
		return wrapDisk(err, "forget the deployment")
	}
	if err := s.disk.Sync(s.dir); err != nil {
		return wrapDisk(err, "forget the deployment")
	}
	return nil
}

// readable looks at what is recorded of a release beside its generations.
func (s store) readable(app string) error {
	if _, err := s.failures(app); err != nil {
		return err
	}
	var f autoFile
	_, err := readJSON(s.auto(app), &f)
	return err
}

// readJSON reads a file of the records, if it is there. ErrInternal if it is damaged.
func readJSON(path string, v any) (found bool, err error) {
	data, err := os.ReadFile(path) //nolint:gosec // G304: a path of our own state
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, wrapDisk(err, "read "+filepath.Base(path))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, leger.Wrap(leger.CodeInternal, err, "%s cannot be read", path).WithHint("if you edited it, correct it; otherwise remove the release (leger deploy remove NAME) and install it again")
	}
	return true, nil
}

// writeJSON replaces a file: after a crash it is the old or the new one.
func (s store) writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	if err := s.disk.Write(path, append(data, '\n'), 0o600); err != nil {
		return wrapDisk(err, "write "+filepath.Base(path))
	}
	return nil
}
