package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// What containers may write lies in a directory per release, outside of where
// Podman looks for quadlets (quadlet.Set.Data, docs/adr/0009). Leger puts Git's
// files there when they are not there yet, replaces or removes those that nobody
// has changed since, and never touches anything else: it is the containers' data.
// Containers own the names in it, links included, so it is only reached through
// os.Root, which follows none out of it.

// notOurs stands for a file of which Leger is not to change anything: its
// containers have changed it, or taken it over.
const notOurs = "not ours"

// DataDir is the directory of a release below Config.DataDir.
func DataDir(base string, release leger.ReleaseName) string { return filepath.Join(base, app(release)) }

// dataHashes maps the paths of a generation's data to fingerprints.
func (g Generation) dataHashes() map[string]string {
	all := map[string]string{}
	for _, f := range g.Data {
		all[f.Path] = f.fingerprint()
	}
	return all
}

// contents is hashes with those of the data.
func (g Generation) contents() map[string]string {
	all := g.hashes()
	for _, f := range g.Data {
		all[f.Path] = f.fingerprint()
	}
	return all
}

// dataPrints maps each path of the generations' data to what Leger may have put
// there.
func dataPrints(generations []Generation) map[string][]string {
	all := map[string][]string{}
	for _, g := range generations {
		for _, f := range g.Data {
			all[f.Path] = append(all[f.Path], f.fingerprint())
		}
	}
	return all
}

// dataOf gives the files that a set puts where containers may write.
func dataOf(set *quadlet.Set) map[string]leger.File {
	files := make(map[string]leger.File, len(set.Data))
	for name, data := range set.Data {
		files[name] = leger.File{Data: data, Executable: set.Executable[name]}
	}
	return files
}

// openData opens a release's data directory; nil when there is none.
func (e *Engine) openData(name string) (*os.Root, error) {
	if e.cfg.DataDir == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	root, err := os.OpenRoot(filepath.Join(e.cfg.DataDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, wrapDisk(err, "open the directory for the release's data")
	}
	return root, nil
}

// dataFile is a data file that is there.
type dataFile struct {
	mark string // fingerprint, or notOurs
	data []byte // unless it is notOurs
}

// readData gives those of the generations' data files that are there.
func (e *Engine) readData(name string, generations []Generation) (map[string]dataFile, error) {
	found := map[string]dataFile{}
	prints := dataPrints(generations)
	if len(prints) == 0 {
		return found, nil
	}
	root, err := e.openData(name)
	if root == nil {
		return found, err
	}
	defer func() { _ = root.Close() }()
	for file := range prints {
		if f := lookAtData(root, file); f.mark != "" {
			found[file] = f
		}
	}
	return found, nil
}

// lookAtData reads a file in a data directory; its fingerprint is "" if it is not
// there. A container may have made it anything, and forbidden us to look.
func lookAtData(root *os.Root, file string) dataFile {
	local := filepath.FromSlash(file)
	info, err := root.Lstat(local)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return dataFile{}
	case err != nil, !info.Mode().IsRegular(), info.Size() > quadlet.MaxFileSize:
		return dataFile{mark: notOurs}
	}
	if unix.Access(filepath.Join(root.Name(), filepath.Dir(local)), unix.W_OK) != nil {
		return dataFile{mark: notOurs}
	}
	data, err := root.ReadFile(local)
	if err != nil {
		return dataFile{mark: notOurs}
	}
	return dataFile{fingerprint(hash(data), info.Mode()&0o100 != 0), data}
}

// dataAction is what happens to one file of the data; "" for nothing. now is what
// is there, "" for nothing; want is what Git has, "" for nothing; settled says that
// it was put there, and that Leger has not taken it away since; ours are all that
// Leger may have put there.
func dataAction(now, want string, settled bool, ours []string) Action {
	switch {
	case now == want:
		return ""
	case now == "" && settled:
		return "" // a container has removed it
	case now == "":
		return Add
	case !slices.Contains(ours, now):
		return "" // it is the container's
	case want == "":
		return Drop
	default:
		return Change
	}
}

// settledData has the paths that the current generation and all others have whose
// files may be there: no deployment has removed them.
func settledData(current *Generation, known []Generation) map[string]bool {
	settled := map[string]bool{}
	if current == nil {
		return settled
	}
	for _, f := range current.Data {
		settled[f.Path] = !slices.ContainsFunc(known, func(g Generation) bool { return g.dataHashes()[f.Path] == "" })
	}
	return settled
}

// changeData adds to the plan what happens to the data.
func (p *Plan) changeData(facts Facts, changed map[string]bool) {
	known := slices.Clone(facts.Pending)
	current := map[string]string{}
	if facts.Current != nil {
		known = append(known, *facts.Current)
		current = facts.Current.dataHashes()
	}
	ours, next, settled := dataPrints(known), p.Next.dataHashes(), settledData(facts.Current, known)
	all := dataPrints(append(slices.Clone(known), p.Next))
	for file := range all {
		now := facts.data[file].mark
		if action := dataAction(now, next[file], settled[file], ours[file]); action != "" {
			p.Files = append(p.Files, FileChange{Path: file, Action: action, Diff: textDiff(file, facts.data[file].data, p.request.Set.Data[file])})
			changed[file] = true
			continue
		}
		// Git's newer version is not taken.
		if next[file] != "" && now != next[file] && current[file] != "" && current[file] != next[file] {
			p.Kept = append(p.Kept, file)
		}
	}
	slices.Sort(p.Kept)
}

// exchangeData makes a release's data what next needs. known are the generations
// whose files may be there, current the one that is installed; nil: none.
func (e *Engine) exchangeData(name string, current *Generation, known []Generation, next Generation, files map[string]leger.File) error {
	all := dataPrints(append(slices.Clone(known), next))
	if len(all) == 0 && len(next.DataDirs) == 0 && !slices.ContainsFunc(known, func(g Generation) bool { return len(g.DataDirs) > 0 }) {
		return nil
	}
	if e.cfg.DataDir == "" {
		return leger.Errorf(leger.CodeInternal, "there is no directory for what the containers of %s write", next.Release)
	}
	if err := e.cfg.Disk.MakeDir(filepath.Join(e.cfg.DataDir, name), 0o700); err != nil {
		return wrapDisk(err, "make the directory for the release's data")
	}
	root, err := e.openData(name)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, dir := range next.DataDirs {
		if err := e.makeDataDir(root, dir); err != nil {
			return wrapDisk(err, "make the directory "+dir+" for the release's data")
		}
	}
	ours, want, settled := dataPrints(known), next.dataHashes(), settledData(current, known)
	for file := range all {
		switch dataAction(lookAtData(root, file).mark, want[file], settled[file], ours[file]) {
		case Add, Change:
			err = e.writeData(root, file, files[file])
		case Drop:
			if err = root.Remove(filepath.FromSlash(file)); err == nil {
				err = e.syncDataDir(root, path.Dir(file)) // or it comes back, and is nobody's
			}
			e.pruneData(root, path.Dir(file), next.DataDirs)
		case Mend, Rename:
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wrapDisk(err, "exchange "+file+" in the release's data")
		}
	}
	for _, g := range known {
		for _, dir := range g.DataDirs {
			e.pruneData(root, dir, next.DataDirs)
		}
	}
	if err := e.cfg.Disk.Sync(root.Name()); err != nil {
		return wrapDisk(err, "write the release's data")
	}
	_ = os.Remove(root.Name()) // nothing is in it, or it stays
	return nil
}

// makeDataDir makes a directory and those that it is in, and waits until their names are
// on the disk.
func (e *Engine) makeDataDir(root *os.Root, dir string) error {
	local := filepath.FromSlash(dir)
	if info, err := root.Stat(local); local == "." || (err == nil && info.IsDir()) {
		return nil
	}
	parent := filepath.Dir(local)
	if err := e.makeDataDir(root, filepath.ToSlash(parent)); err != nil {
		return err
	}
	if err := root.Mkdir(local, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return e.syncDataDir(root, parent)
}

func (e *Engine) syncDataDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(e.cfg.Disk.Flush(d), d.Close())
}

// writeData makes or replaces a file: after a crash it is the old or the new one.
func (e *Engine) writeData(root *os.Root, file string, content leger.File) error {
	local := filepath.FromSlash(file)
	dir := filepath.Dir(local)
	if err := e.makeDataDir(root, filepath.ToSlash(dir)); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if content.Executable {
		mode = 0o755
	}
	temp := filepath.Join(dir, ".leger-new")
	if err := root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content.Data)
	if err := errors.Join(err, f.Chmod(mode), e.cfg.Disk.Flush(f), f.Close()); err != nil {
		return err
	}
	if err := root.Rename(temp, local); err != nil {
		return err
	}
	return e.syncDataDir(root, dir)
}

// pruneData removes a directory and those that it is in, as far as nothing is in
// them and they are not needed.
func (e *Engine) pruneData(root *os.Root, dir string, needed []string) {
	for dir != "." && !slices.ContainsFunc(needed, func(n string) bool { return n == dir || strings.HasPrefix(n, dir+"/") }) {
		if root.Remove(filepath.FromSlash(dir)) != nil {
			return
		}
		dir = path.Dir(dir)
		_ = e.syncDataDir(root, dir) // an empty directory that comes back harms nobody
	}
}

// keptData lists what of a removed release stays in its data directory, as paths
// on this machine.
func (e *Engine) keptData(name string) []string {
	if e.cfg.DataDir == "" {
		return nil
	}
	dir := filepath.Join(e.cfg.DataDir, name)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return nil
	}
	return []string{dir}
}

// formerData is what containers have written into the release's directory before
// Leger kept their data elsewhere.
type formerData struct{ from, to string }

// findFormerData looks for what would be left behind, unseen by its container.
func (e *Engine) findFormerData(ctx context.Context, name string, known []Generation, next Generation) ([]formerData, error) {
	roots := slices.Clone(next.DataDirs)
	for _, f := range next.Data {
		if !slices.ContainsFunc(next.DataDirs, func(dir string) bool { return strings.HasPrefix(f.Path, dir+"/") }) {
			roots = append(roots, f.Path)
		}
	}
	var found []formerData
	for _, in := range e.cfg.Installers {
		ours := map[string][]string{}
		for _, g := range known {
			for file, mark := range g.hashes() {
				ours[in.Path(name, file)] = append(ours[in.Path(name, file)], mark)
			}
		}
		for _, root := range roots {
			if ctx.Err() != nil {
				return nil, leger.Wrap(leger.CodeInterrupted, ctx.Err(), "look for data of the release")
			}
			if from := in.Path(name, root); holdsOthers(from, ours) {
				found = append(found, formerData{from, filepath.Join(e.cfg.DataDir, name, filepath.FromSlash(root))})
			}
		}
	}
	return found, nil
}

// holdsOthers reports whether there is a file at or below a path that is none of
// ours.
func holdsOthers(from string, ours map[string][]string) bool {
	errFound := errors.New("found")
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		switch {
		case name == from && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil: // we may not look: a container has taken it over
			return errFound
		case d.IsDir():
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > quadlet.MaxFileSize {
			return errFound
		}
		data, err := os.ReadFile(name) //nolint:gosec // G304: a file of the release's directory
		if err != nil || !slices.Contains(ours[name], fingerprint(hash(data), info.Mode()&0o100 != 0)) {
			return errFound
		}
		return nil
	})
	return err != nil
}

// dataRefusals finds what stands against moving what containers may write.
func dataRefusals(req Request, facts Facts) []Refusal {
	var all []Refusal
	for _, f := range facts.former {
		all = append(all, Refusal{
			Code: leger.CodeConflict,
			Text: fmt.Sprintf("containers have written into %s, where Podman looks for quadlets; what they write lies in %s now", f.from, f.to),
			Hint: fmt.Sprintf("stop the units, move it, and try again: mkdir -p %q && podman unshare mv -T %q %q", filepath.Dir(f.to), f.from, f.to),
		})
	}
	// The generation that is installed may come back as it is.
	if r := req.recorded; r != nil && facts.Current != nil && r.Number == facts.Current.Number {
		return all
	}
	for _, m := range req.Set.WritesBesideQuadlets() {
		all = append(all, Refusal{
			Code: leger.CodeInvalid, File: m.File, Line: m.Line,
			Text: fmt.Sprintf("%s=%s lets a container write into the directory in which Podman looks for quadlets", m.Key, m.Value),
			Hint: "make it read-only, or write an absolute path outside of it, such as %h/data",
		})
	}
	return all
}
