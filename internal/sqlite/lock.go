package sqlite

import (
	"errors"

	"leger.run/leger"
	"leger.run/leger/internal/lockfile"
)

// Lock takes the lock that makes this process the only writer of the database at path,
// which need not be there; its directory must be, and hold no other database: it is
// locked as a whole. ErrUnavailable: another process has it. It is for work on the
// files themselves, and for Config.Lock.
func Lock(database string) (*lockfile.Lock, error) { return lock(database, lockfile.TryDir) }

func lock(database string, try func(path string) (*lockfile.Lock, error)) (*lockfile.Lock, error) {
	path := database + ".lock"
	lock, err := try(path)
	if held, ok := errors.AsType[*lockfile.HeldError](err); ok {
		return nil, leger.Errorf(leger.CodeUnavailable, "%s is in use by %s, and only one may write to it", database, held.Holder).
			WithHint("stop that leger-server first, or give this one another data directory with --data")
	}
	if err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "lock %s", path).
			WithHint("check owner and mode of the directory")
	}
	return lock, nil
}
