package signin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leger.run/leger"
	"leger.run/leger/internal/signin"
)

// same compares sign-ins, and their keys by the public half.
func same() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b signin.PrivateKey) bool {
			return a.IsZero() == b.IsZero() && (a.IsZero() || a.Public() == b.Public())
		}),
		cmpopts.EquateComparable(leger.UserID{}),
	}
}

func someSignIn() signin.SignIn {
	id := leger.LocalIdentity("me@example.com")
	return signin.SignIn{
		Server: "https://leger.example", Token: "made-up", UserUUID: id.UserID(), Email: id.Email, Tailnet: "example.com",
		Method: leger.SignInSharedSecret, IssuedAt: time.Unix(1_000_000, 0).UTC(), ExpiresAt: time.Unix(2_000_000, 0).UTC(),
	}
}

// What was written is read again, only by its owner, and once it is removed there is
// none.
func TestASignInIsKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", signin.FileName)
	file := signin.File(path)
	if _, err := file.Read(); !errors.Is(err, leger.ErrInvalidToken) {
		t.Errorf("before: %v", err)
	}
	if err := file.Write(someSignIn()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got, err := file.Read(); err != nil || !cmp.Equal(got, someSignIn(), same()) {
		t.Errorf("read %+v, %v", got, err)
	}
	for _, want := range []bool{true, false} {
		if there, err := file.Remove(); err != nil || there != want {
			t.Errorf("removed: %v, %v", there, err)
		}
	}
}

// Files from before the server had a choice name no method.
func TestAnOlderSignInWasBySharedSecret(t *testing.T) {
	t.Parallel()
	file := signin.File(filepath.Join(t.TempDir(), signin.FileName))
	old := someSignIn()
	old.Method = ""
	if err := file.Write(old); err != nil {
		t.Fatal(err)
	}
	if got, err := file.Read(); err != nil || got.Method != leger.SignInSharedSecret {
		t.Errorf("%q, %v", got.Method, err)
	}
}

func TestASignInThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{
		"empty": "", "no JSON": "{", "no token": `{"server":"https://a","user_uuid":"00000000-0000-5000-8000-000000000001"}`,
	} {
		path := filepath.Join(t.TempDir(), signin.FileName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := signin.File(path).Read(); !errors.Is(err, leger.ErrInvalidToken) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", what, err)
		}
	}
	path := filepath.Join(t.TempDir(), signin.FileName)
	if err := signin.File(path).Write(someSignIn()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := signin.File(path).Read(); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("one that the group may read: %v", err)
	}
}

// A token goes to the server that it was made for, while it lives, and nowhere else.
func TestASignInHoldsAtItsServerUntilItEnds(t *testing.T) {
	t.Parallel()
	in := someSignIn()
	if err := in.Holds(in.Server, in.ExpiresAt.Add(-time.Second)); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"ended": in.Holds(in.Server, in.ExpiresAt), "elsewhere": in.Holds("https://other.example", in.IssuedAt),
	} {
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeInvalidToken || !strings.HasPrefix(e.Hint, "leger auth login") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The server's order counts, and a server that asks for something newer is told apart
// from one that accepts nothing.
func TestTheWayToSignIn(t *testing.T) {
	t.Parallel()
	got, err := signin.Choose("https://a", []leger.SignInMethod{"by-something-newer", leger.SignInSharedSecret})
	if err != nil || got != leger.SignInSharedSecret {
		t.Errorf("%q, %v", got, err)
	}
	for want, accepted := range map[string][]leger.SignInMethod{
		"accepts no way to sign in":                    nil,
		"asks you to sign in by stars or cards, which": {"stars", "cards"},
	} {
		if _, err := signin.Choose("https://a", accepted); !errors.Is(err, leger.ErrForbidden) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", accepted, err)
		}
	}
}

// A server takes no token that names another one. Somebody who reached it by another name
// was told only that the sign-in was invalid or had expired, without a reason.
func TestServerGoesByItsOwnName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		known, own string
		fits       bool
	}{
		{"https://leger.example", "https://leger.example", true},
		{"https://Leger.example:443/", "https://leger.example", true},
		{"https://leger.example", "", true}, // an older server
		{"http://127.0.0.1:8787", "https://leger.example", true},
		{"http://localhost:8787", "https://leger.example", true},
		{"https://nas.example", "https://leger.example", false},
		{"https://leger.example", "http://leger.example", false},
		{"https://leger.example", "https://leger.example:8443", false},
	} {
		err := signin.CheckName(c.known, c.own)
		if (err == nil) != c.fits || (err != nil && !errors.Is(err, leger.ErrInvalid)) {
			t.Errorf("%s, which calls itself %q: %v", c.known, c.own, err)
		}
	}
}
