package run

import "syscall"

// attributes put a program into a group of its own, and end it with this process:
// when leger is killed, what it had begun must not go on behind the back of the
// next leger. The kernel sends the signal when the thread ends that started the
// program (prctl(2), PR_SET_PDEATHSIG); Go ends no thread but one that a goroutine
// was locked to, and none is here.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
