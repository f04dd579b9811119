package localvault_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

// env makes a Lookup of pairs.
func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func source(dir string, pairs ...string) localvault.KeySource {
	return localvault.KeySource{Lookup: env(pairs...), Dir: dir, Random: rand.Reader}
}

func keyText(n byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, localvault.KeySize))
}

func writeFile(t testing.TB, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadKeyTakesTheFirstOfItsSources(t *testing.T) {
	t.Parallel()
	dir, creds := t.TempDir(), t.TempDir()
	file := writeFile(t, filepath.Join(t.TempDir(), "k"), keyText(2)+"\n", 0o600)
	// systemd's own mode for credentials that it guards with an access list
	writeFile(t, filepath.Join(creds, "legerd-key"), keyText(3), 0o440)
	named := t.TempDir()
	writeFile(t, filepath.Join(named, "legerd-key"), keyText(3), 0o440)
	writeFile(t, filepath.Join(named, "LEGERD_KEY"), keyText(5), 0o440)
	writeFile(t, filepath.Join(dir, "key"), keyText(4), 0o600)
	for _, test := range []struct {
		what  string
		pairs []string
		want  byte
		from  string
	}{
		{"variable", []string{"LEGERD_KEY", keyText(1), "LEGERD_KEY_FILE", file, "CREDENTIALS_DIRECTORY", creds}, 1, "LEGERD_KEY"},
		{"file", []string{"LEGERD_KEY_FILE", file, "CREDENTIALS_DIRECTORY", creds}, 2, file},
		{"credential", []string{"CREDENTIALS_DIRECTORY", creds}, 3, filepath.Join(creds, "legerd-key")},
		{"credential of the variable's name", []string{"CREDENTIALS_DIRECTORY", named}, 5, filepath.Join(named, "LEGERD_KEY")},
		{"other credentials", []string{"CREDENTIALS_DIRECTORY", t.TempDir()}, 4, filepath.Join(dir, "key")},
		{"data directory", []string{"LEGERD_KEY", ""}, 4, filepath.Join(dir, "key")},
	} {
		got, from, err := localvault.LoadKey(source(dir, test.pairs...))
		if err != nil {
			t.Errorf("%s: %v", test.what, err)
			continue
		}
		want := localvault.NewKey([localvault.KeySize]byte(bytes.Repeat([]byte{test.want}, localvault.KeySize)))
		if got != want || from != test.from {
			t.Errorf("%s: wrong key, from %s", test.what, from)
		}
	}
}

func TestLoadKeyMakesAKeyOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	first, path, err := localvault.LoadKey(source(dir))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
	second, _, err := localvault.LoadKey(source(dir))
	if err != nil || first != second {
		t.Errorf("the second start has another key: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// A new key beside an old store would lock its owner out with a message about a
// wrong key; that the old key is gone is what they have to know.
func TestLoadKeyMakesNoneForAStoreThatHasLostIts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	key, path, err := localvault.LoadKey(source(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := openStore(t, localvault.Config{Dir: dir, Key: key}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, _, err = localvault.LoadKey(source(dir))
	wantCode(t, err, leger.ErrNotFound)
	if _, err := os.Stat(path); err == nil {
		t.Error("a new key was made")
	}
}

func TestLoadKeyRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := writeFile(t, filepath.Join(dir, "open"), keyText(1), 0o644)
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	short := writeFile(t, filepath.Join(dir, "short"), "c2hvcnQ=", 0o600)
	long := writeFile(t, filepath.Join(dir, "long"), strings.Repeat(keyText(1), 200), 0o600)
	for _, test := range []struct {
		what  string
		pairs []string
		want  *leger.Error
		hint  string
	}{
		{"not base64", []string{"LEGERD_KEY", "it's a secret"}, leger.ErrInvalid, "base64"},
		{"too short", []string{"LEGERD_KEY_FILE", short}, leger.ErrInvalid, "base64"},
		{"too long", []string{"LEGERD_KEY_FILE", long}, leger.ErrInvalid, "base64"},
		{"others may read it", []string{"LEGERD_KEY_FILE", open}, leger.ErrInvalid, "chmod 600 " + open},
		{"no such file", []string{"LEGERD_KEY_FILE", filepath.Join(dir, "none")}, leger.ErrNotFound, ""},
	} {
		_, _, err := localvault.LoadKey(source(dir, test.pairs...))
		e := codeOf(t, err, test.want)
		if !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%s: hint %q lacks %q", test.what, e.Hint, test.hint)
		}
		if strings.Contains(err.Error()+e.Hint, "it's a secret") {
			t.Errorf("%s: the error shows the key", test.what)
		}
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	key := localvault.NewKey([localvault.KeySize]byte(bytes.Repeat([]byte("k"), localvault.KeySize)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, key); got != leger.Redacted {
			t.Errorf("%s shows %s", verb, got)
		}
		if got := fmt.Sprintf(verb, localvault.Config{Dir: "d", Key: key}); strings.Contains(got, "kkkk") || strings.Contains(got, "6b6b") || strings.Contains(got, "107 107") {
			t.Errorf("%s of a Config shows %s", verb, got)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(keyText(1)))
	f.Add([]byte(" " + keyText(2) + "\r\n"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, in []byte) {
		key, err := localvault.ParseKey(in)
		if err == nil && key == (localvault.Key{}) && !bytes.Contains(in, []byte("AAAA")) {
			t.Errorf("%q gave the zero key", in)
		}
	})
}
