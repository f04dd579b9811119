// Package safefile writes files that are whole, or absent, whatever happens: a
// reader, a crash or a power cut sees the old content or the new, never a part.
// What it has reported as written is on the disk, the name in its directory too.
//
// A writer that is killed leaves a temporary file beside its
// target. The next Write or Create of the same file removes it; a temporary file
// whose writer still runs is locked, and stays.
//
// It does not make writers of one file take turns: the last one wins. Whoever
// reads, decides and writes back needs a lock of its own.
//
// Errors are *fs.PathError with the path that the caller gave.
package safefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Disk is where files are written; the functions of this package use its zero value.
// Tests give one that notes what would outlive a power cut.
type Disk struct {
	// Fsync does as Flush. nil: (*os.File).Sync.
	Fsync func(*os.File) error
}

// Flush waits until the content of an open file, or the names in an open directory, are
// on the disk.
func (d Disk) Flush(f *os.File) error {
	if d.Fsync == nil {
		return f.Sync()
	}
	return d.Fsync(f)
}

// Write does as the function of the name.
func (d Disk) Write(path string, data []byte, mode fs.FileMode) error {
	return d.write(path, holding(data), mode, os.Rename)
}

// Write replaces the file at path, or makes it, with exactly this mode: the umask
// does not matter. A missing directory is made, for its owner alone. A symbolic link
// at path is replaced, not followed. What root writes into a directory of another user
// belongs to that user.
func Write(path string, data []byte, mode fs.FileMode) error {
	return Disk{}.Write(path, data, mode)
}

// WriteFrom does as Write with what fill writes. The file is replaced only if fill
// gives nil; its errors are given back as they are.
func WriteFrom(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	return Disk{}.write(path, fill, mode, os.Rename)
}

// Create makes a file that does not exist yet; otherwise it gives fs.ErrExist and
// changes nothing. Of several at once exactly one succeeds.
func Create(path string, data []byte, mode fs.FileMode) error {
	return Disk{}.write(path, holding(data), mode, link)
}

// CreateFrom does as Create with what fill writes. Its errors are given back as they
// are.
func CreateFrom(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	return Disk{}.write(path, fill, mode, link)
}

func link(temp, path string) error {
	if err := os.Link(temp, path); err != nil {
		return err
	}
	return os.Remove(temp)
}

func holding(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// Rename gives a file or a directory its final name, in place of what is there (a
// directory replaces only an empty one). The content is the caller's to sync
// first: see SyncTree.
func Rename(from, to string) error { return Disk{}.Rename(from, to) }

// Rename does as the function of the name.
func (d Disk) Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return about("rename", to, err)
	}
	dirs := []string{filepath.Dir(to)}
	if other := filepath.Dir(from); other != dirs[0] {
		dirs = append(dirs, other)
	}
	for _, dir := range dirs {
		if err := d.Sync(dir); err != nil {
			return err
		}
	}
	return nil
}

// MakeDir makes a directory and its missing parents, all with this mode less the
// umask. One that exists keeps its mode.
func MakeDir(path string, mode fs.FileMode) error { return Disk{}.MakeDir(path, mode) }

// MakeDir does as the function of the name.
func (d Disk) MakeDir(path string, mode fs.FileMode) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := d.MakeDir(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode); err != nil {
		// Somebody else may have made it meanwhile.
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil
		}
		return about("mkdir", path, err)
	}
	return d.Sync(parent)
}

// Sync waits until a file's content, or the names in a directory, are on the disk.
func Sync(path string) error { return Disk{}.Sync(path) }

// Sync does as the function of the name.
func (d Disk) Sync(path string) error {
	f, err := os.Open(path) //nolint:gosec // G304: the caller's own file
	if err != nil {
		return about("sync", path, err)
	}
	return about("sync", path, errors.Join(d.Flush(f), f.Close()))
}

// SyncParent does Sync for the directory that path is in.
func SyncParent(path string) error { return Sync(filepath.Dir(path)) }

// SyncTree does Sync for a directory and everything below it; symbolic links are
// not followed.
func SyncTree(root string) error { return Disk{}.SyncTree(root) }

// SyncTree does as the function of the name.
func (d Disk) SyncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return about("sync", path, err)
		}
		if entry.IsDir() || entry.Type().IsRegular() {
			return d.Sync(path)
		}
		return nil
	})
}

// write fills a temporary file and lets place give it the name path.
func (d Disk) write(
	path string, fill func(io.Writer) error, mode fs.FileMode, place func(temp, path string) error,
) (err error) {
	if err := d.MakeDir(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := sweep(path); err != nil {
		return about("write", path, err)
	}
	f, err := makeTemp(path)
	if err != nil {
		return about("write", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
		_ = f.Close() // synced before; closing last keeps the lock until the name is settled
	}()
	if err := fill(f); err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok && p.Path == f.Name() {
			return about("write", path, err)
		}
		return err
	}
	if err := giveToOwner(f, filepath.Dir(path)); err != nil {
		return about("chown", path, err)
	}
	if err := f.Chmod(mode); err != nil {
		return about("chmod", path, err)
	}
	if err := d.Flush(f); err != nil {
		return about("sync", path, err)
	}
	if err := place(f.Name(), path); err != nil {
		return about("write", path, err)
	}
	return d.Sync(filepath.Dir(path))
}

// giveToOwner gives a file that root writes to whoever the directory belongs to: a server
// that is not root must be able to read what a command with sudo wrote for it.
func giveToOwner(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}

// tempPrefix begins the names of the temporary files of path.
func tempPrefix(path string) string {
	return "." + filepath.Base(path) + ".tmp-"
}

// makeTemp makes a temporary file (0600) and locks it until it is closed. On a
// file system without locks it stays unlocked, and nobody sweeps.
func makeTemp(path string) (*os.File, error) {
	for {
		f, err := os.CreateTemp(filepath.Dir(path), tempPrefix(path)+"*")
		if err != nil {
			return nil, err
		}
		swept := errors.Is(lock(f), syscall.EWOULDBLOCK)
		if _, err := os.Lstat(f.Name()); err == nil && !swept {
			return f, nil
		}
		// A sweep found it between the two calls and took its writer for dead.
		_ = f.Close()
	}
}

// sweep removes the temporary files of path whose writers are dead: those whose
// lock can be taken.
func sweep(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix(path)) || !e.Type().IsRegular() {
			continue
		}
		temp := filepath.Join(filepath.Dir(path), e.Name())
		f, err := os.Open(temp) //nolint:gosec // G304: a name of our own making
		if err != nil {
			continue // gone, or another user's: no reason to fail this write
		}
		if lock(f) == nil {
			_ = os.Remove(temp)
		}
		_ = f.Close()
	}
	return nil
}

// lock takes the file's lock without waiting; EWOULDBLOCK when it is taken.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// about gives the cause of err as one about path, nil for nil: the caller knows
// nothing of temporary files.
func about(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	} else if l, ok := errors.AsType[*os.LinkError](err); ok {
		err = l.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// TempDir makes a directory (0700) for work in progress in parent, and gives what
// removes it. One that a killed process left behind under the same prefix is removed
// first; one whose process still runs is locked, and stays.
func TempDir(parent, prefix string) (dir string, remove func() error, err error) {
	if err := sweepDirs(parent, prefix); err != nil {
		return "", nil, about("mkdir", filepath.Join(parent, prefix), err)
	}
	for {
		dir, err = os.MkdirTemp(parent, prefix+"*")
		if err != nil {
			return "", nil, about("mkdir", filepath.Join(parent, prefix), err)
		}
		f, err := os.Open(dir) //nolint:gosec // G304: a name of our own making
		if errors.Is(err, fs.ErrNotExist) {
			continue // a sweep found it before it was locked
		}
		if err != nil {
			return "", nil, errors.Join(about("mkdir", dir, err), os.Remove(dir))
		}
		swept := errors.Is(lock(f), syscall.EWOULDBLOCK)
		if _, err := os.Lstat(dir); err == nil && !swept {
			return dir, func() error { return errors.Join(os.RemoveAll(dir), f.Close()) }, nil
		}
		_ = f.Close()
	}
}

// sweepDirs removes the directories of TempDir whose processes are dead.
func sweepDirs(parent, prefix string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.IsDir() {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		f, err := os.Open(dir) //nolint:gosec // G304: a name of our own making
		if err != nil {
			continue // gone, or another user's
		}
		if lock(f) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = f.Close()
	}
	return nil
}
