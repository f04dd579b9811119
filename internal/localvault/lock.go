package localvault

import (
	"errors"
	"path/filepath"

	"leger.run/leger"
	"leger.run/leger/internal/lockfile"
)

// lock takes the data directory for this process.
func lock(dir string) (*lockfile.Lock, error) {
	held, err := lockfile.TryDir(filepath.Join(dir, lockFile))
	if other, ok := errors.AsType[*lockfile.HeldError](err); ok {
		return nil, leger.Errorf(leger.CodeConflict, "the store in %s is in use by %s", dir, other.Holder).
			WithHint("one legerd per data directory: use the one that runs, or stop it (systemctl --user stop legerd)")
	}
	if err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "lock the store")
	}
	return held, nil
}
