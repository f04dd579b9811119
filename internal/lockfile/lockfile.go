// Package lockfile lets one process at a time do something, and tells the others who
// it is.
//
// The kernel holds the lock (flock(2)) and releases it when the process ends, however
// it ends. The file holds the holder's process id, only so that a message can name
// it. It is never removed: a lock on a removed file excludes nobody.
package lockfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// poll is how often a lock that another process holds is tried.
const poll = 50 * time.Millisecond

// attempts bounds how often a lock is taken anew whose file was removed meanwhile.
const attempts = 100

// Lock is one that this process holds.
type Lock struct {
	file *flock.Flock
	dir  *os.File // locked too; nil: not
}

// HeldError says that another process holds the lock.
type HeldError struct {
	// Holder is "process 12 (legerd)", as far as it can be known; at least "another
	// process".
	Holder string
}

func (e *HeldError) Error() string { return "held by " + e.Holder }

// Try takes the lock at path without waiting, in a directory that exists; a missing
// file is made (0600). *HeldError when another process holds it, also for another
// Lock of this process; otherwise an error of the file system.
func Try(path string) (*Lock, error) {
	for range attempts {
		f := flock.New(path, flock.SetPermissions(0o600))
		got, err := f.TryLock()
		switch {
		case err != nil:
			return nil, err
		case !got:
			return nil, &HeldError{holder(path)}
		}
		if there(f) {
			return signed(f), nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return nil, removed(path)
}

// TryDir does as Try, and locks the directory, which must be one program's alone: the
// lock file can be removed while it is held, and whoever then makes it anew would hold
// a lock as well. On a file system that locks no directories it is Try.
func TryDir(path string) (*Lock, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	switch err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		_ = dir.Close()
		return nil, &HeldError{holder(path)}
	case err != nil:
		if err := dir.Close(); err != nil {
			return nil, err
		}
		return Try(path)
	}
	l, err := Try(path)
	if err != nil {
		return nil, errors.Join(err, unlock(dir))
	}
	l.dir = dir
	return l, nil
}

// Wait does as Try, and waits while another process holds the lock, after telling
// waiting its Holder once. Its error is ctx's when ctx is done.
func Wait(ctx context.Context, path string, waiting func(holder string)) (*Lock, error) {
	told := false
	for range attempts {
		f := flock.New(path, flock.SetPermissions(0o600))
		got, err := f.TryLock()
		if err == nil && !got {
			if !told {
				waiting(holder(path))
				told = true
			}
			_, err = f.TryLockContext(ctx, poll)
		}
		if err != nil {
			return nil, err
		}
		if there(f) {
			return signed(f), nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return nil, removed(path)
}

// Release gives the lock back, once or more often, even while a process that is just being started has
// the descriptor too.
func (l *Lock) Release() error {
	err := l.file.Close()
	if l.dir != nil {
		err = errors.Join(err, unlock(l.dir))
		l.dir = nil
	}
	return err
}

func unlock(dir *os.File) error {
	return errors.Join(syscall.Flock(int(dir.Fd()), syscall.LOCK_UN), dir.Close())
}

// there reports whether the path still leads to the file that was locked. Between its
// opening and its locking somebody may have removed it, and a third one made it anew.
func there(f *flock.Flock) bool {
	locked, err := f.Stat()
	if err != nil {
		return false
	}
	found, err := os.Stat(f.Path())
	return err == nil && os.SameFile(locked, found)
}

func removed(path string) error {
	return &fs.PathError{Op: "lock", Path: path, Err: errors.New("somebody keeps removing it")}
}

// signed writes who holds the lock; it holds without that, on a full disk too.
func signed(f *flock.Flock) *Lock {
	_ = os.WriteFile(f.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return &Lock{file: f}
}

func holder(path string) string {
	text, err := os.ReadFile(path) //nolint:gosec // G304: the caller's own file
	if err != nil {
		return "another process"
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "another process"
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(comm)))
}
