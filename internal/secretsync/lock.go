package secretsync

import (
	"context"
	"errors"
	"path/filepath"

	"leger.run/leger"
	"leger.run/leger/internal/lockfile"
	"leger.run/leger/internal/safefile"
)

// lockFile is its name within the state directory.
const lockFile = "sync.lock"

// Lock lets one process at a time sync this machine, as this user. Of two that
// plan at once, the older plan could be carried out last, and bring old values
// back. The zero value locks nothing.
type Lock struct {
	path string
	// waiting is told by which process the lock is held, once.
	waiting func(holder string)
}

// NewLock locks in dir, which is made if need be. waiting is called before waiting
// for another process; it may be nil.
func NewLock(dir string, waiting func(holder string)) *Lock {
	if waiting == nil {
		waiting = func(string) {}
	}
	return &Lock{filepath.Join(dir, lockFile), waiting}
}

// Acquire waits until no other process has the lock. release gives it back; the
// end of the process does so too. ErrInterrupted when ctx is done; ErrMissingPart
// when the file cannot be made.
func (l *Lock) Acquire(ctx context.Context) (release func(), err error) {
	if l.path == "" {
		return func() {}, nil
	}
	if err := safefile.MakeDir(filepath.Dir(l.path), 0o700); err != nil {
		return nil, l.failed(err)
	}
	held, err := lockfile.Wait(ctx, l.path, l.waiting)
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, leger.Wrap(leger.CodeInterrupted, nil, "interrupted while another leger was syncing: nothing was changed").
			WithHint("leger secrets sync")
	case err != nil:
		return nil, l.failed(err)
	}
	return func() { _ = held.Release() }, nil
}

func (l *Lock) failed(err error) error {
	return leger.Wrap(leger.CodeMissingPart, err, "this machine's syncs cannot be kept apart; nothing was changed").
		WithHint("is there room, and may you write to %s?", filepath.Dir(l.path))
}
