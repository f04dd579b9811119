package safefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"leger.run/leger"
)

// Rule says what a file or directory is to the program that reads it, and with that
// what other users of the machine may do with it. No rule lets them change it.
type Rule int

// The rules.
const (
	// Decides: what it says is done, such as which program runs or whom to believe. It
	// belongs to the user who runs this, or to root.
	Decides Rule = iota
	// Holds: data that is not secret, or a directory that others may look into. As with
	// Hides, root works on whatever user's files it is told to.
	Holds
	// Hides: others may not read it either.
	Hides
)

// Check holds the file or directory at path to a rule. It gives CodeInvalid, with the
// path, the mode and the command that corrects it, or what os.Stat gives.
//
// Root gives a service its files by their group (root:leger 0640, and Kubernetes'
// volumes): of a file of root's, a group that this process is in is no other user. Nor
// is the group that has its owner's own number (login.defs(5), USERGROUPS_ENAB), which
// makes 0664 of what a user writes. Docker and Podman mount secrets readable by all
// into a container, below /run/secrets.
func Check(path string, rule Rule) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return CheckInfo(path, info, rule)
}

// CheckInfo does as Check for a file that was looked at already, of which path is the
// name.
func CheckInfo(path string, info fs.FileInfo, rule Rule) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the system does not tell whose file it is")
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	return judged{
		path: path, mode: info.Mode(), owner: int(st.Uid), group: int(st.Gid),
		uid: os.Geteuid(), groups: append(groups, os.Getegid()),
	}.check(rule)
}

// judged is a file, and who asks.
type judged struct {
	path         string
	mode         fs.FileMode
	owner, group int
	uid          int
	groups       []int
}

func (j judged) check(rule Rule) error {
	perm := j.mode.Perm()
	asRoot := j.uid == 0 && rule != Decides
	if j.owner != j.uid && j.owner != 0 && !asRoot {
		return leger.Errorf(leger.CodeInvalid, "%s belongs to another user (uid %d, mode %04o)", j.path, j.owner, perm).
			WithHint("if you trust what is in it: sudo chown %d %s", j.uid, quote(j.path))
	}
	others := perm & 0o007
	if !j.ownGroup(rule) {
		others |= perm & 0o070
	}
	switch {
	case others&0o022 != 0:
		return leger.Errorf(leger.CodeInvalid,
			"%s can be changed by other users of this machine: its mode is %04o", j.path, perm).
			WithHint("%s", j.correct(rule))
	case rule == Hides && others != 0 && !j.mounted():
		return leger.Errorf(leger.CodeInvalid,
			"%s can be read by other users of this machine: its mode is %04o", j.path, perm).
			WithHint("%s", j.correct(rule))
	}
	return nil
}

// ownGroup reports whether the file's group is no other user.
func (j judged) ownGroup(rule Rule) bool {
	if j.owner == 0 && j.uid != 0 {
		return slices.Contains(j.groups, j.group)
	}
	return rule != Hides && j.owner == j.group
}

// mounted reports whether it is a secret that a container was given.
func (j judged) mounted() bool {
	clean := filepath.Clean(j.path)
	return j.owner == 0 &&
		(strings.HasPrefix(clean, "/run/secrets/") || strings.HasPrefix(clean, "/var/run/secrets/"))
}

// correct is the command after which the rule holds.
func (j judged) correct(rule Rule) string {
	change := "go-w"
	switch {
	case rule == Hides && j.mode.IsDir():
		change = "700"
	case rule == Hides:
		change = "600"
	}
	sudo := ""
	if j.uid != 0 && j.owner != j.uid {
		sudo = "sudo "
	}
	return sudo + "chmod " + change + " " + quote(j.path)
}

// quote makes one word of a shell of a path.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("/._-+=:,@%", r)
	}
	if path != "" && !strings.ContainsFunc(path, func(r rune) bool { return !plain(r) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
