package localvault_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "data")
	openStore(t, localvault.Config{Dir: dir, Key: randomKey(t)})
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "vault.db"): 0o600, filepath.Join(dir, "lock"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
}

func TestOpenDataDirectoryOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil { // G302: that is the point
		t.Fatal(err)
	}
	_, err := localvault.Open(localvault.Config{Dir: dir, Key: randomKey(t)})
	if e := codeOf(t, err, leger.ErrInvalid); !strings.Contains(e.Hint, "chmod 700") {
		t.Errorf("hint %q does not say what to type", e.Hint)
	}
}

func TestValuesSurviveAndAreSealed(t *testing.T) {
	t.Parallel()
	const canary = "canary-77ab-store"
	f := serve(t, localvault.HandlerConfig{})
	alice, bob := user(t, 1), user(t, 2)
	for _, u := range []leger.UserID{alice, bob} {
		if err := f.client.CreateVersion(t.Context(), u, name(t, "key"), 4, text(canary+u.String())); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(filepath.Dir(filepath.Dir(f.socket)), "data")
	raw, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(canary)) || bytes.Contains(raw, []byte("Y2FuYXJ5LTc3YWI")) {
		t.Error("the value is readable in the file")
	}
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, localvault.Config{Dir: dir, Key: testKey(1)})
	value, v, err := again.Value(bob, name(t, "key"))
	if err != nil || v != 4 || string(value.Reveal()) != canary+bob.String() {
		t.Errorf("got version %d, %v", v, err)
	}
	got, err := again.Secrets(alice)
	if err != nil {
		t.Fatal(err)
	}
	digest := again.Digest(alice, name(t, "key"), text(canary+alice.String()))
	if diff := cmp.Diff([]localvault.Secret{{Name: name(t, "key"), Version: 4, Digest: digest}}, got, cmp.Comparer(func(a, b leger.SecretName) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	_, _, err = again.Value(alice, name(t, "other"))
	wantCode(t, err, leger.ErrNotFound)
}

func TestWrongKeyTouchesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := openStore(t, localvault.Config{Dir: dir, Key: testKey(1)}).Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = localvault.Open(localvault.Config{Dir: dir, Key: testKey(2)})
	if e := codeOf(t, err, leger.ErrInvalid); !strings.Contains(e.Message, "key does not open") || e.Hint == "" {
		t.Errorf("not a helpful error: %v (hint %q)", err, e.Hint)
	}
	after, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the store was changed: %v", err)
	}
	openStore(t, localvault.Config{Dir: dir, Key: testKey(1)}) // and the lock is free
}

func TestDamagedStoreIsSaidToBe(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		text string
		want *leger.Error
	}{
		"empty":  {"", leger.ErrInternal},
		"cut":    {`{"Version":1,"DEK":"AA`, leger.ErrInternal},
		"parts":  {`{"Version":1}`, leger.ErrInternal},
		"future": {`{"Version":2,"DEK":"AA==","DB":"AA=="}`, leger.ErrInvalid},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "vault.db"), test.text, 0o600)
		_, err := localvault.Open(localvault.Config{Dir: dir, Key: testKey(1)})
		if e := codeOf(t, err, test.want); e.Hint == "" {
			t.Errorf("%s: no hint", what)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "vault.db")); err != nil || string(got) != test.text {
			t.Errorf("%s: the file was changed: %q %v", what, got, err)
		}
	}
}

// Two writers on one setec database lose data in silence, so the second one is
// sent away, and told who was first.
func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	openStore(t, localvault.Config{Dir: dir, Key: testKey(7)})
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "LOCALVAULT_TEST_ROLE=serve", "DIR="+filepath.Dir(dir))
	out, err := child.CombinedOutput()
	if err == nil {
		t.Fatal("a second process opened the store")
	}
	if want := fmt.Sprintf("in use by process %d (", os.Getpid()); !strings.Contains(string(out), want) {
		t.Errorf("%q does not name the holder: %q", out, want)
	}
	// Within one process too.
	_, err = localvault.Open(localvault.Config{Dir: dir, Key: testKey(7)})
	wantCode(t, err, leger.ErrConflict)
	// Somebody tidies up: a second legerd made the lock anew, and was let in.
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	_, err = localvault.Open(localvault.Config{Dir: dir, Key: testKey(7)})
	wantCode(t, err, leger.ErrConflict)
}

func TestChangedTellsOfLegersSecretsAlone(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	told := func() bool {
		select {
		case <-f.store.Changed():
			return true
		default:
			return false
		}
	}
	if _, err := setecClient(f.socket).Put(t.Context(), "prod/other", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if told() {
		t.Error("told of somebody else's secret")
	}
	if err := f.client.CreateVersion(t.Context(), user(t, 1), name(t, "k"), 1, text("v")); err != nil {
		t.Fatal(err)
	}
	if !told() {
		t.Error("not told of a write")
	}
	if err := f.client.Activate(t.Context(), user(t, 1), name(t, "k"), 1); err != nil {
		t.Fatal(err)
	}
	if told() {
		t.Error("told of a call that changed nothing")
	}
}

func TestStoredName(t *testing.T) {
	t.Parallel()
	u, n := user(t, 3), name(t, "openai_api_key")
	gotUser, gotName, ok := localvault.ParseStoredName(localvault.StoredName(u, n))
	if !ok || gotUser != u || gotName != n {
		t.Errorf("got %v %v %v", gotUser, gotName, ok)
	}
	for _, s := range []string{
		"", "leger", "leger/", "leger//x", "leger/" + u.String(), "leger/" + u.String() + "/",
		"leger/" + u.String() + "/a/b", "leger/" + u.String() + "/../x", "xleger/" + u.String() + "/x",
		"leger/" + strings.ToUpper("abcdefab-0000-5000-8000-000000000000") + "/x", "prod/db",
	} {
		if _, _, ok := localvault.ParseStoredName(s); ok {
			t.Errorf("%q was taken for one of Leger's", s)
		}
	}
}

func FuzzParseStoredName(f *testing.F) {
	f.Add("leger/00000000-0000-5000-8000-000000000001/key")
	f.Add("leger//")
	f.Fuzz(func(t *testing.T, s string) {
		if u, n, ok := localvault.ParseStoredName(s); ok && localvault.StoredName(u, n) != s {
			t.Errorf("%q is not what its parts make: %s", s, localvault.StoredName(u, n))
		}
	})
}
