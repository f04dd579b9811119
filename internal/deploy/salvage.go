package deploy

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// recorded gives the generations whose files may be installed, the current one
// first. When the record cannot be read, damage says why, and the generations are
// those that can be told from what is left of it: see salvage.
func (e *Engine) recorded(name string) (all []Generation, damage error) {
	rec, err := e.store.load(name)
	if err != nil {
		return e.salvage(name), err
	}
	if rec.current != nil {
		all = append(all, *rec.current)
	}
	return append(all, rec.pending...), nil
}

// salvage reads what is left of a damaged record: the manifests that are whole,
// and where one is not the files beside it, from which it is made again. Which
// installer such a generation was installed with is lost, so there is one for
// each. Nobody knows which generation is the current one; the newest comes first.
func (e *Engine) salvage(name string) []Generation {
	numbers, err := e.store.numbers(name)
	if err != nil {
		return nil
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	var all []Generation
	for _, n := range numbers {
		g, err := e.store.manifest(name, n)
		if err == nil {
			all = append(all, g)
			continue
		}
		release, err := leger.ParseReleaseName(name)
		files, readErr := readTree(filepath.Join(e.store.generation(name, n), "files"))
		if err != nil || readErr != nil || len(files) == 0 {
			continue
		}
		req := Request{Release: release, Set: quadlet.LoadFiles(files)}
		for _, in := range e.cfg.Installers {
			if in.Takes(slices.Sorted(maps.Keys(files))) {
				all = append(all, generationOf(req, in.Name(), n))
			}
		}
	}
	return all
}

// readTree reads all regular files below a directory, keyed by path with slashes.
func readTree(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	fsys := os.DirFS(root)
	return files, fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files[name], err = fs.ReadFile(fsys, name)
		return err
	})
}

// present leaves of salvaged generations what is on disk as they have it: anything
// else may be another's by now.
func present(generations []Generation, disk map[string]map[string]string) []Generation {
	var all []Generation
	for _, g := range generations {
		g.Files = slices.DeleteFunc(slices.Clone(g.Files), func(f File) bool { return disk[g.Installer][f.Path] != f.fingerprint() })
		here := g.paths()
		g.Units = slices.DeleteFunc(slices.Clone(g.Units), func(u Unit) bool { return !slices.Contains(here, u.File) })
		all = append(all, g)
	}
	return all
}

// unreadable reports whether err, from reading a record, is about that record alone:
// it is damaged, or another version of Leger wrote it.
func unreadable(err error) bool { return damaged(err) || errors.Is(err, leger.ErrConflict) }

// damaged reports whether err, from reading a record, is about what the record
// holds: the disk answers, and this version of Leger wrote it.
func damaged(err error) bool { return errors.Is(err, leger.ErrInternal) }
