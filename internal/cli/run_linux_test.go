package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a command at the terminal is sent is its own: Ctrl-C reaches it once, and its exit
// code is leger's, with --watch and without.
func TestACommandThatIsRunHasTheTerminal(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, "one", "secrets", "set", "key")
	for _, flags := range []string{"", "--watch "} {
		x := openTerminal(t)
		x.Shell(r.env(home), t.TempDir())
		x.Press(`leger run ` + flags + `--only key -- /bin/sh -c 'trap "echo caught; exit 3" INT; echo "got-$KEY"; while :; do sleep 0.05; done'` + "\n")
		x.Wait("the command", func() bool { return strings.Contains(x.Shown(), "got-one") })
		x.Press("\x03")
		x.Wait("its last word", func() bool { return strings.Contains(x.Shown(), "caught\r\n") })
		x.Press("echo code-$?\n")
		x.Wait("the shell's answer", func() bool { return strings.Contains(x.Shown(), "code-3") })
		if n := strings.Count(x.Shown(), "caught\r\n"); n != 1 {
			t.Errorf("%q: it was interrupted %d times: %q", flags, n, x.Shown())
		}
	}
}

// With --watch a command starts again when its secret changes, and not when another does;
// one that will not end is killed. It goes on while the server is away.
func TestWatchStartsTheCommandAgain(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, "one", "secrets", "set", "key")
	r.must(home, "x", "secrets", "set", "another")
	x := openTerminal(t)
	x.Shell(r.env(home), t.TempDir())
	x.Press(`leger run --watch --env VALUE=key -- /bin/sh -c 'echo "got-$VALUE-$$"; exec sleep 1000'` + "\n")
	x.Wait("the command", func() bool { return strings.Contains(x.Shown(), "got-one-") })
	r.must(home, "y", "secrets", "set", "another")
	r.must(home, "two", "secrets", "set", "key")
	x.Wait("the command with the new value", func() bool { return strings.Contains(x.Shown(), "got-two-") })
	if !strings.Contains(x.Shown(), "key changed: starting /bin/sh again") || strings.Contains(x.Shown(), "another changed") {
		t.Errorf("it says %q", x.Shown())
	}
	if n := strings.Count(x.Shown(), "got-one-"); n != 1 {
		t.Errorf("the former command began %d times", n)
	}
	x.Press("\x03echo code-$?\n")
	x.Wait("the end", func() bool { return strings.Contains(x.Shown(), "code-130") })
}

// A project is asked about once at a terminal, and again when its file has changed; no is no.
func TestAProjectIsAskedAboutOnce(t *testing.T) {
	t.Parallel()
	r, home, dir := newRig(t), t.TempDir(), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, "one", "secrets", "set", "key")
	r.must(home, "two", "secrets", "set", "other")
	file := filepath.Join(dir, ".leger.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secrets = [\"key\"]\n")
	x := openTerminal(t)
	x.Shell(r.env(home), dir)
	questions := func() int { return strings.Count(x.Shown(), "[y/N]") }
	ask := func(answer, outcome string, asked int) {
		was := len(x.Shown())
		x.Press(`leger run -- /bin/sh -c 'echo "got-$KEY-$OTHER."'` + "\n")
		if answer != "" {
			x.Wait("the question", func() bool { return questions() == asked })
			x.Press(answer + "\n")
		}
		x.Wait(outcome, func() bool { return strings.Contains(x.Shown()[was:], outcome) })
		if n := questions(); n != asked {
			t.Errorf("%d questions, want %d: %q", n, asked, x.Shown())
		}
	}
	ask("n", "you answered no: nothing was run", 1)
	ask("y", "got-one-.", 2)
	ask("", "got-one-.", 2)
	write("secrets = [\"key\", \"other\"]\n")
	ask("y", "got-one-two.", 3)
}
