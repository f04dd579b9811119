package deploy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/safefile"
)

// Directory is the installer that needs nothing but a directory: it places the
// files as they are, subdirectories and all, below one of the release's own.
// Podman's generator looks for quadlets in all directories below the user's.
type Directory struct {
	root string
	disk safefile.Disk
}

// NewDirectory makes one over the user's quadlet directory,
// $XDG_CONFIG_HOME/containers/systemd, on a disk.
func NewDirectory(root string, disk safefile.Disk) *Directory { return &Directory{root, disk} }

// Name is "directory".
func (d *Directory) Name() string { return "directory" }

// Takes is always true.
func (d *Directory) Takes([]string) bool { return true }

// top is the release's directory. The suffix keeps a release that is called
// "web.container.d" from being taken for drop-ins.
func (d *Directory) top(app string) string {
	return filepath.Join(d.root, app+quadlet.ReleaseDirSuffix)
}

// Path is below ROOT/APP.leger.
func (d *Directory) Path(app, file string) string {
	return filepath.Join(d.top(app), filepath.FromSlash(file))
}

// Read gives those of the files that are there. ErrConflict for one that is a
// link or a directory.
func (d *Directory) Read(_ context.Context, app string, files []string) (map[string]leger.File, error) {
	found := map[string]leger.File{}
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
		data, err := os.ReadFile(path) //nolint:gosec // G304: the quadlet directory is the user's own
		if err != nil {
			return nil, wrapDisk(err, "read an installed file")
		}
		found[name] = leger.File{Data: data, Executable: info.Mode()&0o100 != 0}
	}
	return found, nil
}

// Install writes the files. They are readable by all, as what git checks out is:
// the users inside containers are others than the one outside.
func (d *Directory) Install(_ context.Context, app string, files map[string]leger.File) error {
	dirs := map[string]bool{}
	for name, file := range files {
		if err := checkName(name); err != nil {
			return err
		}
		path := d.Path(app, name)
		if err := d.disk.MakeDir(filepath.Dir(path), 0o755); err != nil {
			return wrapDisk(err, "install the files")
		}
		if err := d.writeNew(path, file); err != nil {
			return wrapDisk(err, "install the files")
		}
		for dir := filepath.Dir(path); strings.HasPrefix(dir, d.root); dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	return d.syncDirs(dirs)
}

// writeNew makes a file, and waits until it is on the disk. The umask does not
// matter.
func (d *Directory) writeNew(path string, file leger.File) error {
	mode := fs.FileMode(0o644)
	if file.Executable {
		mode = 0o755
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // G302, G304: see Install
	if err != nil {
		return err
	}
	_, err = f.Write(file.Data)
	return errors.Join(err, f.Chmod(mode), d.disk.Flush(f), f.Close())
}

// syncDirs waits until the names in directories are on the disk; one that is gone
// has none.
func (d *Directory) syncDirs(dirs map[string]bool) error {
	for dir := range dirs {
		if err := d.disk.Sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wrapDisk(err, "write the names of the files")
		}
	}
	return nil
}

// Remove removes the files and the directories that are empty then. What
// somebody else put there stays.
func (d *Directory) Remove(_ context.Context, app string, files []string) error {
	dirs := map[string]bool{d.root: true}
	for _, name := range files {
		path := d.Path(app, name)
		dirs[filepath.Dir(path)] = true
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wrapDisk(err, "remove an installed file")
		}
		for dir := filepath.Dir(path); dir == d.top(app) || strings.HasPrefix(dir, d.top(app)+"/"); dir = filepath.Dir(dir) {
			if err := os.Remove(dir); err != nil {
				break // not empty, or gone
			}
		}
	}
	return d.syncDirs(dirs)
}
