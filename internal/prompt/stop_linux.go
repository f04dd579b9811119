package prompt

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// stopUntilContinued does what SIGTSTP does to those that do not ask for it. The signal
// goes to this very thread, so that the process is stopped when it is sent.
func stopUntilContinued() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP)
}
