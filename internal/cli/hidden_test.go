//go:build linux

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A value of several lines that was pasted at the hidden prompt gave its first line
// to the secret and the others to the shell, which ran them. Here a shell reads the
// terminal around leger: whatever is typed or pasted at the prompt, it gets none of it.
func TestNothingTypedAtTheHiddenPromptReachesTheShell(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	for _, c := range []struct {
		what, keys string
		want       string // the value; "" when none may be stored
		says       string
	}{
		{"a bracketed paste", "\x1b[200~one\r>hacked\rthree\x1b[201~\r", "one\n>hacked\nthree", "version 1 now"},
		{"a bracketed paste with a newline at its end", "\x1b[200~one\r>hacked\r\x1b[201~\r", "one\n>hacked\n", "ends with a newline, which is kept"},
		{"a paste without brackets", "one\r>hacked\rthree\r", "", "several lines were pasted"},
		{"Ctrl-C and what follows", "one\x03>hacked\r", "", "given up"},
		{"Ctrl-D and what follows", "\x04>hacked\r", "", "given up"},
		{"Ctrl-Z and what follows", "one\x1a>hacked\r", "", "given up"},
		{"Ctrl-D after a value", "one\x04", "one", "version 1 now"},
		{"editing", "wrong\x15onx\x7f\x1b[De\r", "one", "version 1 now"},
	} {
		t.Run(c.what, func(t *testing.T) {
			x := openTerminal(t)
			dir, name := t.TempDir(), strings.ToLower(strings.ReplaceAll(c.what, " ", "_"))
			x.Shell(r.env(home), dir)
			x.Press("leger secrets set " + name + "\n")
			x.Wait("the question without echo", func() bool { return strings.Contains(x.Shown(), "not shown") && !x.Echoes() })
			x.Press(c.keys)
			x.Wait("the outcome", func() bool { return strings.Contains(x.Shown(), c.says) && x.Echoes() })
			x.Press("echo al''ive\n")
			x.Wait("the shell's answer", func() bool { return strings.Contains(x.Shown(), "alive") })
			if _, err := os.Stat(filepath.Join(dir, "hacked")); err == nil {
				t.Error("the shell ran what was meant for the prompt")
			}
			_, after, _ := strings.Cut(x.Shown(), "not shown")
			if strings.Contains(after, "hacked") || strings.Contains(after, "one") {
				t.Errorf("the value was shown: %q", x.Shown())
			}
			if c.want == "" {
				if got := r.runIn(t.Context(), home, strings.NewReader(""), "secrets", "get", name); got.code != 3 {
					t.Errorf("something was stored: code %d", got.code)
				}
				return
			}
			if got := r.must(home, "", "secrets", "get", name).stdout; got != c.want {
				t.Errorf("stored %q, want %q", got, c.want)
			}
		})
	}
}

// Somebody stops leger from outside while it waits at the hidden prompt. Until it goes on
// the terminal is the shell's, with echo and line editing, which not every shell sees to
// itself; then the prompt hides again what is typed.
func TestAStopAtTheHiddenPromptGivesTheTerminalBack(t *testing.T) {
	t.Parallel()
	r, home, dir := newRig(t), t.TempDir(), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	x := openTerminal(t)
	x.Shell(r.env(home), dir)
	x.Press("leger secrets set stopped\n")
	hidden := func() bool { return strings.Contains(x.Shown(), "not shown") && !x.Echoes() }
	x.Wait("the question without echo", hidden)
	x.Press("on")
	group, err := unix.IoctlGetInt(int(x.Keys.Fd()), unix.TIOCGPGRP)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := syscall.Kill(-group, syscall.SIGTSTP); err != nil {
			t.Fatal(err)
		}
		x.Wait("a terminal with echo and lines, and pastes without brackets", func() bool {
			return x.Sane() && strings.LastIndex(x.Shown(), "2004l") > strings.LastIndex(x.Shown(), "2004h")
		})
		was := len(x.Shown())
		x.Press("echo al''ive\n")
		x.Wait("the shell's answer", func() bool { return strings.Contains(x.Shown()[was:], "alive") })
		was = len(x.Shown())
		x.Press("fg\n")
		x.Wait("the prompt again", func() bool { return hidden() && strings.Contains(x.Shown()[was:], "2004h") })
	}
	x.Press("e\r")
	x.Wait("the outcome", func() bool { return strings.Contains(x.Shown(), "version 1 now") && x.Sane() })
	if _, after, _ := strings.Cut(x.Shown(), "not shown"); strings.Contains(after, "one") {
		t.Errorf("the value was shown: %q", x.Shown())
	}
	if got := r.must(home, "", "secrets", "get", "stopped").stdout; got != "one" {
		t.Errorf("stored %q", got)
	}
}

// What was pasted behind the answer to a question went to the shell too.
func TestNothingPastedAtAQuestionReachesTheShell(t *testing.T) {
	t.Parallel()
	r, home, dir := newRig(t), t.TempDir(), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, canary, "secrets", "set", "key")
	x := openTerminal(t)
	x.Shell(r.env(home), dir)
	x.Press("leger secrets get key\n")
	x.Wait("the question", func() bool { return strings.Contains(x.Shown(), "[y/N]") })
	x.Press("y\n>hacked\n>hacked\n")
	x.Wait("the refusal", func() bool { return strings.Contains(x.Shown(), "several lines were pasted") })
	x.Press("echo al''ive\n")
	x.Wait("the shell's answer", func() bool { return strings.Contains(x.Shown(), "alive") })
	if _, err := os.Stat(filepath.Join(dir, "hacked")); err == nil {
		t.Error("the shell ran what was meant for the question")
	}
	if strings.Contains(x.Shown(), canary) {
		t.Error("the value was shown")
	}
}
