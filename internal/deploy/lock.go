package deploy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"leger.run/leger"
	"leger.run/leger/internal/lockfile"
)

func (s store) lockFile() string { return filepath.Join(s.dir, ".lock") }

// lockPatience is how long lock waits: underWay holds the lock for a moment, too.
const lockPatience = 200 * time.Millisecond

// lock is held until unlock is called, by whoever changes something about app; its
// name is in the file meanwhile. ErrConflict when somebody else holds it.
func (s store) lock(ctx context.Context, app string) (unlock func(), err error) {
	if err := s.disk.MakeDir(s.dir, 0o700); err != nil {
		return nil, wrapDisk(err, "make the directory of deployments")
	}
	l, err := s.takeLock(ctx)
	if _, held := errors.AsType[*lockfile.HeldError](err); held {
		return nil, leger.Errorf(leger.CodeConflict, "another deployment is under way on this machine").WithHint("wait until it is done, and try again")
	}
	if err != nil {
		return nil, wrapDisk(err, "lock the deployments")
	}
	// In place: another file of this name would not be locked.
	if err := os.WriteFile(s.lockFile(), []byte(app), 0o600); err != nil {
		return nil, wrapDisk(errors.Join(err, l.Release()), "lock the deployments")
	}
	return func() {
		_ = os.Truncate(s.lockFile(), 0) // whose it was does not matter once it is free
		_ = l.Release()
	}, nil
}

// takeLock tries for lockPatience. The directory is locked, too: the directories of
// releases in it are this package's alone.
func (s store) takeLock(ctx context.Context) (*lockfile.Lock, error) {
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockPatience)
	defer cancel()
	for {
		l, err := lockfile.TryDir(s.lockFile())
		if _, held := errors.AsType[*lockfile.HeldError](err); !held {
			return l, err
		}
		select {
		case <-patient.Done():
			return nil, err
		case <-time.After(lockPatience / 10):
		}
	}
}

// underWay gives the release that somebody changes at this moment; "" for none.
func (s store) underWay() (app string, err error) {
	if _, err := os.Stat(s.lockFile()); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	l := flock.New(s.lockFile(), flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil {
		return "", wrapDisk(err, "look at the lock of the deployments")
	}
	if free {
		return "", l.Unlock()
	}
	name, err := os.ReadFile(s.lockFile())
	if err != nil {
		return "", wrapDisk(err, "look at the lock of the deployments")
	}
	return string(name), nil
}
