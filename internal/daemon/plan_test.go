package daemon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/daemon"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman"
)

func user(t testing.TB, n int) leger.UserID {
	t.Helper()
	u, err := leger.ParseUserID(fmt.Sprintf("00000000-0000-5000-8000-%012d", n))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func name(t testing.TB, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func text(s string) leger.Plaintext { return leger.NewPlaintext([]byte(s)) }

// ours is a Podman secret as Leger labels it.
func ours(t testing.TB, name string, user leger.UserID, version string) podman.Secret {
	t.Helper()
	return podman.Secret{ID: "id-" + name, Name: name, Labels: map[string]string{
		"run.leger.managed": "true", "run.leger.version": version, "run.leger.user": user.String(), "run.leger.digest": "d1",
	}}
}

// digested is a secret with another digest, or none.
func digested(s podman.Secret, digest string) podman.Secret {
	delete(s.Labels, "run.leger.digest")
	if digest != "" {
		s.Labels["run.leger.digest"] = digest
	}
	return s
}

func theirs(name string, labels map[string]string) podman.Secret {
	return podman.Secret{ID: "id-" + name, Name: name, Labels: labels}
}

// Each case reads: what the store has, what Podman has, what is to be done.
func TestPlan(t *testing.T) {
	t.Parallel()
	alice, bob := user(t, 1), user(t, 2)
	stored := func(pairs ...any) (out []localvault.Secret) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, localvault.Secret{Name: name(t, pairs[i].(string)), Version: leger.Version(pairs[i+1].(int)), Digest: "d1"})
		}
		return out
	}
	for _, test := range []struct {
		what string
		want []localvault.Secret
		have []podman.Secret
		may  daemon.May
		plan string
	}{
		{"nothing anywhere", nil, nil, daemon.May{}, ""},
		{"new", stored("b", 1, "a", 7), nil, daemon.May{}, "a created 7; b created 1"},
		{"the same", stored("a", 3), []podman.Secret{ours(t, "a", alice, "3")}, daemon.May{}, "a unchanged 3 id-a"},
		{"newer in the store", stored("a", 4), []podman.Secret{ours(t, "a", alice, "3")}, daemon.May{}, "a replaced 4 id-a"},
		{"brought back to an older version", stored("a", 2), []podman.Secret{ours(t, "a", alice, "3")}, daemon.May{}, "a replaced 2 id-a"},
		{"another user's of the same version", stored("a", 3), []podman.Secret{ours(t, "a", bob, "3")}, daemon.May{}, "a replaced 3 id-a bob"},
		{"another value under the same version", stored("a", 3), []podman.Secret{digested(ours(t, "a", alice, "3"), "d2")}, daemon.May{}, "a replaced 3 id-a"},
		{"made before there were digests", stored("a", 3), []podman.Secret{digested(ours(t, "a", alice, "3"), "")}, daemon.May{}, "a replaced 3 id-a"},
		{"gone from the store", nil, []podman.Secret{ours(t, "a", alice, "3")}, daemon.May{}, "a kept 3 id-a"},
		{"gone from the store, and may be removed", nil, []podman.Secret{ours(t, "a", alice, "3"), ours(t, "b", alice, "1")}, daemon.May{Remove: []leger.SecretName{name(t, "a")}}, "a removed 3 id-a; b kept 1 id-b"},
		{"another user's that nobody wants", nil, []podman.Secret{ours(t, "a", bob, "3")}, daemon.May{}, "a kept 3 id-a bob"},
		{"the store has what may be removed", stored("a", 3), []podman.Secret{ours(t, "a", alice, "3")}, daemon.May{Remove: []leger.SecretName{name(t, "a")}}, "a unchanged 3 id-a"},
		{"somebody else's may not be removed", nil, []podman.Secret{theirs("a", nil)}, daemon.May{Remove: []leger.SecretName{name(t, "a")}}, ""},
		{"a version that is no number", stored("a", 3), []podman.Secret{ours(t, "a", alice, "three")}, daemon.May{}, "a replaced 3 id-a"},
		{"03 is not how Leger writes 3", stored("a", 3), []podman.Secret{ours(t, "a", alice, "03")}, daemon.May{}, "a replaced 3 id-a"},

		{"made by somebody else", stored("a", 3), []podman.Secret{theirs("a", nil)}, daemon.May{}, "a conflict 3 id-a"},
		{"with labels of somebody else's", stored("a", 3), []podman.Secret{theirs("a", map[string]string{"run.leger.managed": "false", "run.leger.version": "3"})}, daemon.May{}, "a conflict 3 id-a"},
		{"somebody else's business", nil, []podman.Secret{theirs("a", nil), theirs("b", map[string]string{"x": "y"})}, daemon.May{}, ""},
		{"adopted", stored("a", 3, "b", 1), []podman.Secret{theirs("a", nil), theirs("b", nil)}, daemon.May{Adopt: []leger.SecretName{name(t, "a")}}, "a replaced 3 id-a; b conflict 1 id-b"},
		{"adopted though it is Leger's", stored("a", 3), []podman.Secret{ours(t, "a", alice, "3")}, daemon.May{Adopt: []leger.SecretName{name(t, "a")}}, "a unchanged 3 id-a"},
		{"adopted though it is nowhere", nil, []podman.Secret{theirs("a", nil)}, daemon.May{Adopt: []leger.SecretName{name(t, "a")}}, ""},
		{"labelled like Leger's with a name Leger cannot make", nil, []podman.Secret{ours(t, "a.b", alice, "3")}, daemon.May{}, ""},

		{"all at once", stored("keep", 1, "new", 1, "old", 2, "theirs", 1), []podman.Secret{
			ours(t, "old", alice, "1"), theirs("theirs", nil), ours(t, "gone", alice, "9"), ours(t, "keep", alice, "1"), theirs("other", nil),
		}, daemon.May{}, "gone kept 9 id-gone; keep unchanged 1 id-keep; new created 1; old replaced 2 id-old; theirs conflict 1 id-theirs"},
	} {
		var lines []string
		for _, s := range daemon.Plan(alice, test.want, test.have, test.may) {
			owner := ""
			if s.Owner == bob {
				owner = "bob"
			}
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %d %s %s", s.Name, s.Action, s.Version, s.ID, owner)))
		}
		if diff := cmp.Diff(test.plan, strings.Join(lines, "; ")); diff != "" {
			t.Errorf("%s (-want +got): %s", test.what, diff)
		}
	}
}
