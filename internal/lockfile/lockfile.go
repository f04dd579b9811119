// Package lockfile lets one process at a time do something, and tells the others who
// it is.
//
// The kernel holds the lock (flock(2)) and releases it when the process ends, however
// it ends. The file holds the holder's process id, only so that a message can name
// it. It is never removed: a lock on a removed file would exclude nobody.
package lockfile

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// poll is how often a lock that another process holds is tried.
const poll = 50 * time.Millisecond

// Lock is one that this process holds.
type Lock struct{ file *flock.Flock }

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
	f := flock.New(path, flock.SetPermissions(0o600))
	got, err := f.TryLock()
	switch {
	case err != nil:
		return nil, err
	case !got:
		return nil, &HeldError{holder(path)}
	}
	return signed(f), nil
}

// Wait does as Try, and waits while another process holds the lock, after telling
// waiting its Holder once. Its error is ctx's when ctx is done.
func Wait(ctx context.Context, path string, waiting func(holder string)) (*Lock, error) {
	f := flock.New(path, flock.SetPermissions(0o600))
	got, err := f.TryLock()
	if err == nil && !got {
		waiting(holder(path))
		_, err = f.TryLockContext(ctx, poll)
	}
	if err != nil {
		return nil, err
	}
	return signed(f), nil
}

// Release gives the lock back, even while a process that is just being started has
// the descriptor too.
func (l *Lock) Release() error { return l.file.Close() }

// signed writes who holds the lock; it holds without that, on a full disk too.
func signed(f *flock.Flock) *Lock {
	_ = os.WriteFile(f.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return &Lock{f}
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
