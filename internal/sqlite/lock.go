package sqlite

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"leger.run/leger"
)

// lockFile takes the lock that makes this process the only writer. The kernel
// releases it when the process ends, however it ends.
func lockFile(path string) (*flock.Flock, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "lock %s", lock.Path()).
			WithHint("check owner and mode of the directory")
	}
	if !held {
		return nil, inUse(path, lock.Path())
	}
	// Only for the message of whoever comes second; the lock holds without it.
	_ = os.WriteFile(lock.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return lock, nil
}

func inUse(path, lockPath string) error {
	holder := "another process"
	if b, err := os.ReadFile(lockPath); err == nil { //nolint:gosec // the path is the operator's own setting
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			holder = fmt.Sprintf("process %d", pid)
		}
	}
	return leger.Errorf(leger.CodeUnavailable, "%s is in use by %s, and only one may write to it", path, holder).
		WithHint("stop that leger-server first, or give this one another data directory with --data")
}
