package safefile

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"leger.run/leger"
)

// Whose files are accepted, and with which modes: 1000 asks, or root.
func TestRules(t *testing.T) {
	t.Parallel()
	const me, other, service, none = 1000, 1001, 998, 65534
	for _, c := range []struct {
		what         string
		uid          int
		owner, group int
		mode         fs.FileMode
		decides      bool // accepted as what decides, holds, hides
		holds, hides bool
	}{
		{"my own", me, me, me, 0o600, true, true, true},
		{"my own, with group and others reading", me, me, 100, 0o644, true, true, false},
		{"my own, with the group reading", me, me, 100, 0o640, true, true, false},
		{"of umask 002, in my own group", me, me, me, 0o664, true, true, false},
		{"my own group reads", me, me, me, 0o640, true, true, false},
		{"of umask 002, in a group of many", me, me, 100, 0o664, false, false, false},
		{"0666", me, me, me, 0o666, false, false, false},
		{"others write and do not read", me, me, me, 0o602, false, false, false},
		{"a directory at 0777", me, me, me, fs.ModeDir | 0o777, false, false, false},
		{"a directory at 0755", me, me, me, fs.ModeDir | 0o755, true, true, false},
		{"a directory at 0711", me, me, me, fs.ModeDir | 0o711, true, true, false},
		{"like /tmp", me, 0, 0, fs.ModeDir | fs.ModeSticky | 0o777, false, false, false},
		{"root's", me, 0, 0, 0o644, true, true, false},
		{"root's, mine by the group", me, 0, service, 0o640, true, true, true},
		{"a credential of systemd's", me, 0, service, 0o440, true, true, true},
		{"a volume of Kubernetes'", me, 0, service, fs.ModeDir | fs.ModeSetgid | 0o775, true, true, false},
		{"root's, another group's", me, 0, other, 0o640, true, true, false},
		{"root's, another group writes", me, 0, other, 0o660, false, false, false},
		{"somebody else's", me, other, other, 0o600, false, false, false},
		{"somebody else's that all may read", me, other, other, 0o644, false, false, false},
		{"nobody's", me, none, none, 0o644, false, false, false},
		{"root asks for a service's", 0, service, service, 0o600, false, true, true},
		{"root asks for a service's that others change", 0, service, service, 0o666, false, false, false},
		{"root asks for root's", 0, 0, 0, 0o600, true, true, true},
		{"root asks for root's in root's group", 0, 0, 0, 0o660, true, true, false},
		{"root asks for root's, a group writes", 0, 0, service, 0o664, false, false, false},
	} {
		j := judged{path: "/srv/x", mode: c.mode, owner: c.owner, group: c.group, uid: c.uid, groups: []int{c.uid, service}}
		for rule, want := range map[Rule]bool{Decides: c.decides, Holds: c.holds, Hides: c.hides} {
			err := j.check(rule)
			if (err == nil) != want {
				t.Errorf("%s, rule %d: %v; want it accepted: %v", c.what, rule, err, want)
			}
			if e, ok := errors.AsType[*leger.Error](err); err != nil && (!ok || e.Code != leger.CodeInvalid || e.Hint == "" || !strings.Contains(e.Message, "/srv/x")) {
				t.Errorf("%s: %v does not say what to do", c.what, err)
			}
		}
	}
}

// The error names path, mode and the command after which the file is accepted.
func TestWhatCorrectsAFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		j        judged
		rule     Rule
		says, do string
	}{
		{judged{path: "/a/key", mode: 0o644, owner: 5, uid: 5}, Hides, "/a/key can be read by other users of this machine: its mode is 0644", "chmod 600 /a/key"},
		{judged{path: "/a/key", mode: 0o666, owner: 5, uid: 5}, Hides, "/a/key can be changed by other users of this machine: its mode is 0666", "chmod 600 /a/key"},
		{judged{path: "/a", mode: fs.ModeDir | 0o755, owner: 5, uid: 5}, Hides, "/a can be read by", "chmod 700 /a"},
		{judged{path: "/a b/it's", mode: 0o666, owner: 5, uid: 5}, Decides, "/a b/it's can be changed", `chmod go-w '/a b/it'\''s'`},
		{judged{path: "/etc/x", mode: 0o666, uid: 5}, Decides, "/etc/x can be changed", "sudo chmod go-w /etc/x"},
		{judged{path: "/a", mode: 0o600, owner: 6, uid: 5}, Decides, "/a belongs to another user (uid 6, mode 0600)", "if you trust what is in it: sudo chown 5 /a"},
	} {
		e, ok := errors.AsType[*leger.Error](c.j.check(c.rule))
		if !ok || !strings.HasPrefix(e.Message, c.says) || e.Hint != c.do {
			t.Errorf("%+v: %v, %q; want %q, %q", c.j, e, e.Hint, c.says, c.do)
		}
	}
}

// Docker and Podman mount secrets at 0444 into a container.
func TestSecretsMountedIntoAContainer(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/run/secrets/jwt": true, "/var/run/secrets/jwt": true, "/run/secrets/../jwt": false, "/etc/jwt": false,
	} {
		if err := (judged{path: path, mode: 0o444, uid: 1000}).check(Hides); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := (judged{path: "/run/secrets/jwt", mode: 0o444, owner: 7, uid: 7}).check(Hides); err == nil {
		t.Error("one that is not root's is accepted")
	}
}
