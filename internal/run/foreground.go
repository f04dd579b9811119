package run

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"leger.run/leger"
)

// Foreground is a program at the terminal that this process has: it is of the same process
// group, so the terminal's signals reach both, and it has the streams as they are.
type Foreground struct {
	cmd   *exec.Cmd
	ended chan struct{}
	code  int
}

// StartForeground starts the program at path, called name, with exactly the environment
// env. Errors are those of Replace.
func StartForeground(path, name string, args, env []string) (*Foreground, error) {
	f := &Foreground{cmd: &exec.Cmd{
		Path: path, Args: append([]string{name}, args...), Env: append([]string{}, env...),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}, ended: make(chan struct{})}
	if err := f.cmd.Start(); err != nil {
		return nil, startError(name, err)
	}
	go func() {
		defer close(f.ended)
		_ = f.cmd.Wait() // how it ended is its state
		f.code = statusOf(f.cmd.ProcessState)
	}()
	return f, nil
}

// Ended is closed when the program has ended.
func (f *Foreground) Ended() <-chan struct{} { return f.ended }

// Code is the exit code of a program that has ended, and 128 and the signal's number of one
// that a signal ended, as shells count.
func (f *Foreground) Code() int { return f.code }

// Signal sends a signal to the program; one that has ended takes none.
func (f *Foreground) Signal(s os.Signal) {
	select {
	case <-f.ended: // its id may belong to somebody else by now
	default:
		_ = f.cmd.Process.Signal(s)
	}
}

func statusOf(s *os.ProcessState) int {
	const signalled = 128
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return signalled + int(w.Signal())
	}
	return s.ExitCode()
}

// startError says why a program that is there was not started.
func startError(name string, err error) error {
	switch {
	case errors.Is(err, syscall.E2BIG):
		return leger.Invalid("environment", "the arguments and the environment are larger than the system takes").
			WithHint("give the command fewer secrets: --only or --prefix")
	case errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOENT):
		return leger.Wrap(leger.CodeMissingPart, startCause(err), "%s cannot be run", name)
	}
	return leger.Wrap(leger.CodeInternal, startCause(err), "run %s", name)
}
