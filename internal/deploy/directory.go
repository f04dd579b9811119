package deploy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
)

// Directory is the installer that needs nothing but a directory: it places the
// files as they are, subdirectories and all, below one of the release's own.
// Podman's generator looks for quadlets in all directories below the user's.
type Directory struct{ root string }

// NewDirectory makes one over the user's quadlet directory,
// $XDG_CONFIG_HOME/containers/systemd.
func NewDirectory(root string) *Directory { return &Directory{root} }

// Name is "directory".
func (d *Directory) Name() string { return "directory" }

// Takes is always true.
func (d *Directory) Takes([]string) bool { return true }

// top is the release's directory. The suffix keeps a release that is called
// "web.container.d" from being taken for drop-ins.
func (d *Directory) top(app string) string { return filepath.Join(d.root, app+".leger") }

// Path is below ROOT/APP.leger.
func (d *Directory) Path(app, file string) string {
	return filepath.Join(d.top(app), filepath.FromSlash(file))
}

// Read gives those of the files that are there. ErrConflict for one that is a
// link or a directory.
func (d *Directory) Read(_ context.Context, app string, files []string) (map[string][]byte, error) {
	found := map[string][]byte{}
	for _, name := range files {
		path := d.Path(app, name)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !info.Mode().IsRegular() {
			return nil, leger.Errorf(leger.CodeConflict, "%s is not a regular file", path).WithHint("remove it, and try again")
		}
		if err != nil {
			return nil, wrapDisk(err, "read an installed file")
		}
		if found[name], err = os.ReadFile(path); err != nil { //nolint:gosec // G304: the quadlet directory is the user's own
			return nil, wrapDisk(err, "read an installed file")
		}
	}
	return found, nil
}

// Install writes the files. They are readable by all, as what git checks out is:
// the users inside containers are others than the one outside.
func (d *Directory) Install(_ context.Context, app string, files map[string][]byte) error {
	for name, data := range files {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return leger.Invalid("file", "%.80q leads out of the release's directory", name)
		}
		path := d.Path(app, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // G301: see above
			return wrapDisk(err, "install the files")
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // G302, G304: see above
		if err != nil {
			return wrapDisk(err, "install the files")
		}
		_, err = f.Write(data)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return wrapDisk(err, "install the files")
		}
	}
	return nil
}

// Remove removes the files and the directories that are empty then. What
// somebody else put there stays.
func (d *Directory) Remove(_ context.Context, app string, files []string) error {
	for _, name := range files {
		path := d.Path(app, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wrapDisk(err, "remove an installed file")
		}
		for dir := filepath.Dir(path); dir == d.top(app) || strings.HasPrefix(dir, d.top(app)+"/"); dir = filepath.Dir(dir) {
			if err := os.Remove(dir); err != nil {
				break // not empty, or gone
			}
		}
	}
	return nil
}
