package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// forbidCoreDumps keeps secrets out of core files, and other processes of the
// same user from reading this one's memory (prctl(2), PR_SET_DUMPABLE).
func forbidCoreDumps() error {
	return errors.Join(
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
	)
}

// lockMemory keeps all memory out of swap, where there is no limit to what may be locked
// (LimitMEMLOCK=infinity in the unit). With a limit it does nothing: Go maps far more than
// it uses, and ends when a mapping fails. Pages are locked as they are used
// (MCL_ONFAULT), so that what is only mapped takes no memory.
func lockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur != unix.RLIM_INFINITY {
		return err
	}
	return unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}
