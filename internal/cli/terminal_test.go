//go:build linux

package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"leger.run/leger/internal/cli"
)

// terminal is a pseudo-terminal: what is typed into keys arrives at tty, and what
// the terminal shows is in screen.
type terminal struct {
	t    *testing.T
	keys *os.File
	tty  *os.File

	mu     sync.Mutex
	screen bytes.Buffer
}

func openTerminal(t *testing.T) *terminal {
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
	term := &terminal{t: t, keys: keys, tty: tty}
	t.Cleanup(func() { _ = tty.Close(); _ = keys.Close() })
	go func() { _, _ = io.Copy(term, keys) }()
	return term
}

// Write takes what the terminal shows.
func (x *terminal) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.Write(b)
}

func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

func (x *terminal) echoes() bool { return x.has(unix.ECHO) }

// isSane reports whether it is as a shell leaves it to a command: it echoes, and keeps
// lines and the keys of signals to itself.
func (x *terminal) isSane() bool { return x.has(unix.ECHO | unix.ICANON | unix.ISIG) }

func (x *terminal) has(flags uint32) bool {
	x.t.Helper()
	s, err := unix.IoctlGetTermios(int(x.tty.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return s.Lflag&flags == flags
}

// wait waits for a condition.
func (x *terminal) wait(what string, is func() bool) {
	x.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			x.t.Fatalf("%s did not happen; the terminal shows %q", what, x.shown())
		case <-tick.C:
		}
	}
}

// start runs leger at the terminal, all three streams.
func (x *terminal) start(ctx context.Context, r *rig, home string, args ...string) (code <-chan int) {
	env := r.env(home)
	done := make(chan int, 1)
	go func() {
		done <- cli.Main(ctx, cli.Env{
			Args: args, Stdin: x.tty, Stdout: x.tty, Stderr: x.tty, Now: time.Now, Random: rand.Reader, Version: "0.0.0-test",
			LookupEnv:    func(name string) (string, bool) { v, ok := env[name]; return v, ok },
			SystemConfig: filepath.Join(home, "none"),
		})
	}()
	return done
}

func (x *terminal) end(code <-chan int, want int) {
	x.t.Helper()
	select {
	case got := <-code:
		if got != want {
			x.t.Fatalf("ended with %d, want %d: %s", got, want, x.shown())
		}
	case <-time.After(20 * time.Second):
		x.t.Fatalf("did not end: %s", x.shown())
	}
}

func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.keys, keys); err != nil {
		x.t.Fatal(err)
	}
}

// On a terminal a value is typed without being shown, and shown only after a yes.
func TestValuesOnATerminal(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")

	x := openTerminal(t)
	code := x.start(t.Context(), r, home, "secrets", "set", "key")
	x.wait("the question without echo", func() bool { return strings.Contains(x.shown(), "not shown") && !x.echoes() })
	x.press(canary + "\n")
	x.end(code, 0)
	x.wait("the answer", func() bool { return strings.Contains(x.shown(), "key is at version 1 now") })
	if strings.Contains(x.shown(), canary) || !x.echoes() {
		t.Errorf("echo back on: %v; the terminal shows %q", x.echoes(), x.shown())
	}
	if got := r.must(home, "", "secrets", "get", "key").stdout; got != canary {
		t.Errorf("stored %q", got)
	}

	for _, answer := range []string{"\n", "n\n", "no\n", "ye\n"} {
		no := openTerminal(t)
		code = no.start(t.Context(), r, home, "secrets", "get", "key")
		no.wait("the question", func() bool { return strings.Contains(no.shown(), "[y/N]") })
		no.press(answer)
		no.end(code, 1)
		if strings.Contains(no.shown(), canary) {
			t.Errorf("the value was shown after %q", answer)
		}
	}

	yes := openTerminal(t)
	code = yes.start(t.Context(), r, home, "secrets", "get", "key")
	yes.wait("the question", func() bool { return strings.Contains(yes.shown(), "[y/N]") })
	yes.press("y\n")
	yes.end(code, 0)
	yes.wait("the value", func() bool { return strings.Contains(yes.shown(), canary+"\r\n") })
}

// Ctrl-C at the hidden question leaves the terminal as it was.
func TestCtrlCAtAQuestion(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	x := openTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := x.start(ctx, r, home, "secrets", "set", "key")
	x.wait("the question without echo", func() bool { return strings.Contains(x.shown(), "not shown") && !x.echoes() })
	cancel()
	x.end(code, 130)
	if !x.echoes() {
		t.Error("the terminal stays without echo")
	}
	r.must(home, "", "secrets", "list")
}

// Colour is for terminals, and for those who did not decline it.
func TestColour(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, "v", "secrets", "set", "key")
	x := openTerminal(t)
	x.end(x.start(t.Context(), r, home, "secrets", "list"), 0)
	x.wait("the table in colour", func() bool { return strings.Contains(x.shown(), "\x1b[1mNAME") })
	plain := openTerminal(t)
	plain.end(plain.start(t.Context(), r, home, "secrets", "list", "--no-color"), 0)
	plain.wait("the table", func() bool { return strings.Contains(plain.shown(), "key") })
	if strings.Contains(plain.shown(), "\x1b[") {
		t.Errorf("colour all the same: %q", plain.shown())
	}
}
