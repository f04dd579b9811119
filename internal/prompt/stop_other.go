//go:build !linux

package prompt

import "golang.org/x/sys/unix"

// stopUntilContinued does what SIGTSTP does to those that do not ask for it.
func stopUntilContinued() { _ = unix.Kill(unix.Getpid(), unix.SIGSTOP) }
