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
