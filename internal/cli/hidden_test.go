//go:build linux

package cli_test

import (
	"os"
	"os/exec"
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
			x.shell(r.env(home), dir)
			x.press("leger secrets set " + name + "\n")
			x.wait("the question without echo", func() bool { return strings.Contains(x.shown(), "not shown") && !x.echoes() })
			x.press(c.keys)
			x.wait("the outcome", func() bool { return strings.Contains(x.shown(), c.says) && x.echoes() })
			x.press("echo al''ive\n")
			x.wait("the shell's answer", func() bool { return strings.Contains(x.shown(), "alive") })
			if _, err := os.Stat(filepath.Join(dir, "hacked")); err == nil {
				t.Error("the shell ran what was meant for the prompt")
			}
			_, after, _ := strings.Cut(x.shown(), "not shown")
			if strings.Contains(after, "hacked") || strings.Contains(after, "one") {
				t.Errorf("the value was shown: %q", x.shown())
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
	x.shell(r.env(home), dir)
	x.press("leger secrets set stopped\n")
	hidden := func() bool { return strings.Contains(x.shown(), "not shown") && !x.echoes() }
	x.wait("the question without echo", hidden)
	x.press("on")
	group, err := unix.IoctlGetInt(int(x.keys.Fd()), unix.TIOCGPGRP)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := syscall.Kill(-group, syscall.SIGTSTP); err != nil {
			t.Fatal(err)
		}
		x.wait("a terminal with echo and lines, and pastes without brackets", func() bool {
			return x.isSane() && strings.LastIndex(x.shown(), "2004l") > strings.LastIndex(x.shown(), "2004h")
		})
		was := len(x.shown())
		x.press("echo al''ive\n")
		x.wait("the shell's answer", func() bool { return strings.Contains(x.shown()[was:], "alive") })
		was = len(x.shown())
		x.press("fg\n")
		x.wait("the prompt again", func() bool { return hidden() && strings.Contains(x.shown()[was:], "2004h") })
	}
	x.press("e\r")
	x.wait("the outcome", func() bool { return strings.Contains(x.shown(), "version 1 now") && x.isSane() })
	if _, after, _ := strings.Cut(x.shown(), "not shown"); strings.Contains(after, "one") {
		t.Errorf("the value was shown: %q", x.shown())
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
	x.shell(r.env(home), dir)
	x.press("leger secrets get key\n")
	x.wait("the question", func() bool { return strings.Contains(x.shown(), "[y/N]") })
	x.press("y\n>hacked\n>hacked\n")
	x.wait("the refusal", func() bool { return strings.Contains(x.shown(), "several lines were pasted") })
	x.press("echo al''ive\n")
	x.wait("the shell's answer", func() bool { return strings.Contains(x.shown(), "alive") })
	if _, err := os.Stat(filepath.Join(dir, "hacked")); err == nil {
		t.Error("the shell ran what was meant for the question")
	}
	if strings.Contains(x.shown(), canary) {
		t.Error("the value was shown")
	}
}

// shell starts a shell that the terminal belongs to.
func (x *terminal) shell(env map[string]string, dir string) {
	x.t.Helper()
	sh := exec.CommandContext(x.t.Context(), "/bin/sh", "-i")
	sh.Dir = dir
	sh.Stdin, sh.Stdout, sh.Stderr = x.tty, x.tty, x.tty
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
