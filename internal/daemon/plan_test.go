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
		"run.leger.managed": "true", "run.leger.version": version, "run.leger.user": user.String(),
	}}
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
			out = append(out, localvault.Secret{Name: name(t, pairs[i].(string)), Version: leger.Version(pairs[i+1].(int))})
		}
		return out
	}
	for _, test := range []struct {
		what  string
		want  []localvault.Secret
		have  []podman.Secret
		adopt []leger.SecretName
		plan  string
	}{
		{"nothing anywhere", nil, nil, nil, ""},
		{"new", stored("b", 1, "a", 7), nil, nil, "a created 7; b created 1"},
		{"the same", stored("a", 3), []podman.Secret{ours(t, "a", alice, "3")}, nil, "a unchanged 3 id-a"},
		{"newer in the store", stored("a", 4), []podman.Secret{ours(t, "a", alice, "3")}, nil, "a replaced 4 id-a"},
		{"brought back to an older version", stored("a", 2), []podman.Secret{ours(t, "a", alice, "3")}, nil, "a replaced 2 id-a"},
		{"another user's of the same version", stored("a", 3), []podman.Secret{ours(t, "a", bob, "3")}, nil, "a replaced 3 id-a"},
		{"gone from the store", nil, []podman.Secret{ours(t, "a", alice, "3")}, nil, "a removed 0 id-a"},
		{"another user's that nobody wants", nil, []podman.Secret{ours(t, "a", bob, "3")}, nil, "a removed 0 id-a"},
		{"a version that is no number", stored("a", 3), []podman.Secret{ours(t, "a", alice, "three")}, nil, "a replaced 3 id-a"},
		{"03 is not how Leger writes 3", stored("a", 3), []podman.Secret{ours(t, "a", alice, "03")}, nil, "a replaced 3 id-a"},

		{"made by somebody else", stored("a", 3), []podman.Secret{theirs("a", nil)}, nil, "a conflict 3 id-a"},
		{"with labels of somebody else's", stored("a", 3), []podman.Secret{theirs("a", map[string]string{"run.leger.managed": "false", "run.leger.version": "3"})}, nil, "a conflict 3 id-a"},
		{"somebody else's business", nil, []podman.Secret{theirs("a", nil), theirs("b", map[string]string{"x": "y"})}, nil, ""},
		{"adopted", stored("a", 3, "b", 1), []podman.Secret{theirs("a", nil), theirs("b", nil)}, []leger.SecretName{name(t, "a")}, "a replaced 3 id-a; b conflict 1 id-b"},
		{"adopted though it is Leger's", stored("a", 3), []podman.Secret{ours(t, "a", alice, "3")}, []leger.SecretName{name(t, "a")}, "a unchanged 3 id-a"},
		{"adopted though it is nowhere", nil, []podman.Secret{theirs("a", nil)}, []leger.SecretName{name(t, "a")}, ""},
		{"labelled like Leger's with a name Leger cannot make", nil, []podman.Secret{ours(t, "a.b", alice, "3")}, nil, ""},

		{"all at once", stored("keep", 1, "new", 1, "old", 2, "theirs", 1), []podman.Secret{
			ours(t, "old", alice, "1"), theirs("theirs", nil), ours(t, "gone", alice, "9"), ours(t, "keep", alice, "1"), theirs("other", nil),
		}, nil, "gone removed 0 id-gone; keep unchanged 1 id-keep; new created 1; old replaced 2 id-old; theirs conflict 1 id-theirs"},
	} {
		var lines []string
		for _, s := range daemon.Plan(alice, test.want, test.have, test.adopt...) {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", s.Name, s.Action, s.Version, s.ID)))
		}
		if diff := cmp.Diff(test.plan, strings.Join(lines, "; ")); diff != "" {
			t.Errorf("%s (-want +got): %s", test.what, diff)
		}
	}
}
