package localvault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"leger.run/leger"
)

// release lets go of a lock. Closing alone would not, as long as a process that
// is just being started has the descriptor too.
func release(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// lock takes the data directory for this process, until the file is closed or
// the process ends, however it ends. The file holds the holder's pid, for the
// error of whoever comes second, and is never removed: a lock on a removed file
// would exclude nobody.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // G304: the data directory
	if err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "open the lock of the store")
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		holder := holderOf(f)
		_ = f.Close()
		return nil, leger.Errorf(leger.CodeConflict, "the store in %s is in use by %s", dir, holder).
			WithHint("one legerd per data directory: use the one that runs, or stop it (systemctl --user stop legerd)")
	case err != nil:
		_ = f.Close()
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "lock the store")
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // only for the error above
	}
	return f, nil
}

// holderOf names the process that holds the lock, as far as it can be known.
func holderOf(f *os.File) string {
	buf := make([]byte, 16)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return "another process"
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(comm)))
}
