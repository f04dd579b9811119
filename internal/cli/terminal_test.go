//go:build linux

package cli_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger/internal/cli"
	"leger.run/leger/internal/prompt/prompttest"
)

// terminal is one at which leger runs.
type terminal struct {
	t *testing.T
	*prompttest.Terminal
}

func openTerminal(t *testing.T) *terminal { return &terminal{t, prompttest.Open(t)} }

// start runs leger at the terminal, all three streams.
func (x *terminal) start(ctx context.Context, r *rig, home string, args ...string) (code <-chan int) {
	env := r.env(home)
	done := make(chan int, 1)
	go func() {
		done <- cli.Main(ctx, cli.Env{
			Args: args, Stdin: x.TTY, Stdout: x.TTY, Stderr: x.TTY, Now: time.Now, Random: rand.Reader, Version: "0.0.0-test",
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
			x.t.Fatalf("ended with %d, want %d: %s", got, want, x.Shown())
		}
	case <-time.After(20 * time.Second):
		x.t.Fatalf("did not end: %s", x.Shown())
	}
}

// On a terminal a value is typed without being shown, and shown only after a yes.
func TestValuesOnATerminal(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")

	x := openTerminal(t)
	code := x.start(t.Context(), r, home, "secrets", "set", "key")
	x.Wait("the question without echo", func() bool { return strings.Contains(x.Shown(), "not shown") && !x.Echoes() })
	x.Press(canary + "\n")
	x.end(code, 0)
	x.Wait("the answer", func() bool { return strings.Contains(x.Shown(), "key is at version 1 now") })
	if strings.Contains(x.Shown(), canary) || !x.Echoes() {
		t.Errorf("echo back on: %v; the terminal shows %q", x.Echoes(), x.Shown())
	}
	if got := r.must(home, "", "secrets", "get", "key").stdout; got != canary {
		t.Errorf("stored %q", got)
	}

	for _, answer := range []string{"\n", "n\n", "no\n", "ye\n"} {
		no := openTerminal(t)
		code = no.start(t.Context(), r, home, "secrets", "get", "key")
		no.Wait("the question", func() bool { return strings.Contains(no.Shown(), "[y/N]") })
		no.Press(answer)
		no.end(code, 1)
		if strings.Contains(no.Shown(), canary) {
			t.Errorf("the value was shown after %q", answer)
		}
	}

	yes := openTerminal(t)
	code = yes.start(t.Context(), r, home, "secrets", "get", "key")
	yes.Wait("the question", func() bool { return strings.Contains(yes.Shown(), "[y/N]") })
	yes.Press("y\n")
	yes.end(code, 0)
	yes.Wait("the value", func() bool { return strings.Contains(yes.Shown(), canary+"\r\n") })
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
	x.Wait("the question without echo", func() bool { return strings.Contains(x.Shown(), "not shown") && !x.Echoes() })
	cancel()
	x.end(code, 130)
	if !x.Echoes() {
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
	x.Wait("the table in colour", func() bool { return strings.Contains(x.Shown(), "\x1b[1mNAME") })
	plain := openTerminal(t)
	plain.end(plain.start(t.Context(), r, home, "secrets", "list", "--no-color"), 0)
	plain.Wait("the table", func() bool { return strings.Contains(plain.Shown(), "key") })
	if strings.Contains(plain.Shown(), "\x1b[") {
		t.Errorf("colour all the same: %q", plain.Shown())
	}
}
