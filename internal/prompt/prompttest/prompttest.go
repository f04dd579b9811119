//go:build linux

// Package prompttest has a terminal for tests: a real one, whose keys the test presses and
// whose screen it reads.
package prompttest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo-terminal.
type Terminal struct {
	t    *testing.T
	Keys *os.File // the test's end
	TTY  *os.File // the program's

	mu     sync.Mutex
	screen bytes.Buffer
}

// Open makes a terminal, of which this process and the test hold both ends.
func Open(t *testing.T) *Terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &Terminal{t: t, Keys: keys, TTY: tty}
	t.Cleanup(func() { _ = tty.Close(); _ = keys.Close() })
	go func() { _, _ = io.Copy(term, keys) }()
	return term
}

// Write takes what the terminal shows.
func (x *Terminal) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.Write(b)
}

// Shown is all that it has shown.
func (x *Terminal) Shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

// Echoes reports whether it shows what is typed.
func (x *Terminal) Echoes() bool { return x.has(unix.ECHO) }

// Sane reports whether it is as a shell leaves it to a command: it echoes, and keeps
// lines and the keys of signals to itself.
func (x *Terminal) Sane() bool { return x.has(unix.ECHO | unix.ICANON | unix.ISIG) }

func (x *Terminal) has(flags uint32) bool {
	x.t.Helper()
	s, err := unix.IoctlGetTermios(int(x.TTY.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return s.Lflag&flags == flags
}

// Wait waits for a condition, and fails the test when it does not come.
func (x *Terminal) Wait(what string, is func() bool) {
	x.t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			x.t.Fatalf("%s did not happen; the terminal shows %q", what, x.Shown())
		case <-tick.C:
		}
	}
}

// Press types the keys.
func (x *Terminal) Press(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.Keys, keys); err != nil {
		x.t.Fatal(err)
	}
}

// Shell starts a shell that the terminal belongs to.
func (x *Terminal) Shell(env map[string]string, dir string) {
	x.t.Helper()
	sh := exec.CommandContext(x.t.Context(), "/bin/sh", "-i")
	sh.Dir = dir
	sh.Stdin, sh.Stdout, sh.Stderr = x.TTY, x.TTY, x.TTY
	for name, value := range env {
		sh.Env = append(sh.Env, name+"="+value)
	}
	sh.Env = append(sh.Env, "PATH="+os.Getenv("PATH"), "NO_COLOR=1", "PS1=$ ")
	sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := sh.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { _ = sh.Process.Kill(); _ = sh.Wait() })
}
