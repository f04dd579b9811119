package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger/internal/prompt/prompttest"
)

// atTerminal runs a command line of leger-server in a shell, and waits for the question.
func atTerminal(t *testing.T, dir, line, question string) *prompttest.Terminal {
	t.Helper()
	x := prompttest.Open(t)
	x.Shell(map[string]string{"HOME": dir}, dir)
	x.Press(binary + " " + line + "\n")
	asked(x, question)
	return x
}

func asked(x *prompttest.Terminal, question string) {
	x.Wait("the question without echo", func() bool {
		return strings.LastIndex(x.Shown(), question) > strings.LastIndex(x.Shown(), "$ ") && !x.Echoes()
	})
}

// A backup and its passphrase, typed at a terminal: nobody sees it, and it opens the backup.
func TestAPassphraseIsTypedAtATerminal(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	dir := t.TempDir()
	x := atTerminal(t, dir, "backup one.backup --with-keys --passphrase --data "+s.data, "Passphrase for the backup")
	x.Press("four words of one's own\r")
	asked(x, "The same passphrase again")
	x.Press("four words of one's own\r")
	x.Wait("the backup", func() bool { return strings.Contains(x.Shown(), "The keys are in it") && x.Sane() })

	x.Press(binary + " verify one.backup\n")
	asked(x, "Passphrase of the backup")
	x.Press("four words of one's own\r")
	x.Wait("the verdict", func() bool { return strings.Contains(x.Shown(), "Every record was opened") && x.Sane() })

	x.Press(binary + " verify one.backup\n")
	asked(x, "Passphrase of the backup")
	x.Press("another\r")
	x.Wait("the refusal", func() bool { return strings.Contains(x.Shown(), "hint: ") && x.Sane() })

	x.Press(binary + " backup two.backup --passphrase --data " + s.data + "\n")
	asked(x, "Passphrase for the backup")
	x.Press("one way\r")
	asked(x, "The same passphrase again")
	x.Press("the other way\r")
	x.Wait("the refusal", func() bool { return strings.Contains(x.Shown(), "the two passphrases differ") && x.Sane() })
	if _, err := os.Stat(filepath.Join(dir, "two.backup")); !os.IsNotExist(err) {
		t.Errorf("there is a backup: %v", err)
	}
	for _, typed := range []string{"four words", "another", "one way", "other way"} {
		if strings.Contains(x.Shown(), typed) {
			t.Errorf("%q was shown: %q", typed, x.Shown())
		}
	}
}

// Ctrl-C at the question did nothing until Enter was pressed, and of several lines that were
// pasted all but the first went to the shell.
func TestNothingTypedAtThePassphraseReachesTheShell(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 1)
	for what, c := range map[string]struct{ keys, says string }{
		"Ctrl-C and what follows": {"one\x03>hacked\r", "given up"},
		"Ctrl-D and what follows": {"\x04>hacked\r", "given up"},
		"several lines":           {"one\r>hacked\rthree\r", "several lines were pasted"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			x := atTerminal(t, dir, "backup one.backup --passphrase --data "+s.data, "Passphrase for the backup")
			x.Press(c.keys)
			x.Wait("the outcome", func() bool { return strings.Contains(x.Shown(), c.says) && x.Echoes() })
			x.Press("echo al''ive\n")
			x.Wait("the shell's answer", func() bool { return strings.Contains(x.Shown(), "alive") })
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}
