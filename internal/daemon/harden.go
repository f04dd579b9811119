package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps the values out of core dumps and out of the reach of debuggers of
// the same user: both read a process's whole memory.
func harden() error {
	var errs []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		errs = append(errs, fmt.Errorf("turn core dumps off: %w", err))
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("keep debuggers out: %w", err))
	}
	return errors.Join(errs...)
}
