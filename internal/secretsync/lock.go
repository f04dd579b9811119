package secretsync

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"leger.run/leger"
)

const (
	// lockFile is its name within the state directory.
	lockFile = "sync.lock"
	// lockPoll is how often a lock that another process holds is tried.
	lockPoll = 50 * time.Millisecond
)

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
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return nil, l.failed(err)
	}
	// The file is never removed: a lock on a removed file would exclude nobody.
	f := flock.New(l.path, flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDWR))
	got, err := f.TryLock()
	if err == nil && !got {
		l.waiting(l.holder())
		_, err = f.TryLockContext(ctx, lockPoll)
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, leger.Wrap(leger.CodeInterrupted, nil, "interrupted while another leger was syncing: nothing was changed").
			WithHint("leger secrets sync")
	case err != nil:
		return nil, l.failed(err)
	}
	_ = os.WriteFile(l.path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600) // only for those who wait
	return func() { _ = f.Close() }, nil
}

func (l *Lock) failed(err error) error {
	return leger.Wrap(leger.CodeMissingPart, err, "this machine's syncs cannot be kept apart; nothing was changed").
		WithHint("is there room, and may you write to %s?", filepath.Dir(l.path))
}

// holder names the process that has the lock, as far as it has said so.
func (l *Lock) holder() string {
	b, err := os.ReadFile(l.path)
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "process " + pid
	}
	return "another process"
}
