package deploy

import (
	"path"
	"slices"

	"leger.run/leger/internal/quadlet"
)

// choose finds the installer for files: the one that the release has, if it takes
// them, else the first that does. Two releases may both have an .env or a config
// file: then each release has a directory of its own for them. A release that
// is installed beside the others already stays there as long as none of its files
// is another's. nil: no installer takes them.
func (e *Engine) choose(name string, current *Generation, files []string) Installer {
	var candidates []Installer
	if current != nil {
		if in := e.installer(current.Installer); in != nil && in.Takes(files) && !e.clashes(name, in, files) {
			return in
		}
	}
	for _, in := range e.cfg.Installers {
		if in.Takes(files) {
			candidates = append(candidates, in)
		}
	}
	for _, in := range candidates {
		if !besideOthers(in) || !slices.ContainsFunc(files, supports) {
			return in
		}
	}
	if len(candidates) > 0 {
		return candidates[0]
	}
	return nil
}

// besideOthers reports whether an installer puts the files of all releases into
// one directory.
func besideOthers(in Installer) bool { return in.Path("a", "x") == in.Path("b", "x") }

// supports reports whether a file is one that quadlets name, and none itself.
func supports(file string) bool { return !quadlet.IsQuadlet(file) }

// clashes reports whether another release has a file of these that is no quadlet,
// whose names are a matter between the units.
func (e *Engine) clashes(name string, in Installer, files []string) bool {
	if !besideOthers(in) {
		return false
	}
	apps, err := e.store.apps()
	if err != nil {
		return false // whoever asks next says so
	}
	for _, other := range apps {
		theirs, _ := e.recorded(other)
		for _, g := range theirs {
			if other != name && g.Installer == in.Name() && slices.ContainsFunc(g.paths(), func(p string) bool { return supports(p) && slices.Contains(files, p) }) {
				return true
			}
		}
	}
	return false
}

// sharedPaths lists the files of next that generation g of another release has,
// too: those in the same place, and quadlets of the same name wherever they are,
// because Podman takes only one of them.
func (e *Engine) sharedPaths(name string, here Installer, next Generation, other string, g Generation) []string {
	in := e.installer(g.Installer)
	var shared []string
	for _, file := range next.paths() {
		same := slices.ContainsFunc(g.paths(), func(theirs string) bool {
			if quadlet.IsQuadlet(file) && path.Base(file) == path.Base(theirs) {
				return true
			}
			return theirs == file && in != nil && here != nil && in.Path(other, theirs) == here.Path(name, file)
		})
		if same {
			shared = append(shared, file)
		}
	}
	return shared
}
