package environ_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Four look-ups differed: legerd knew no credentials of its variables' names, two
// dropped all white space, one cut what was too long, and one had no bound.
func TestValue(t *testing.T) {
	t.Parallel()
	dir, creds := t.TempDir(), t.TempDir()
	file := write(t, dir, "file", " file \r\n\n")
	long := write(t, dir, "long", strings.Repeat("x", environ.MaxFile+1))
	none := filepath.Join(dir, "none")
	write(t, creds, "NAME", "credential\n")
	loop := t.TempDir()
	if err := os.Symlink("NAME", filepath.Join(loop, "NAME")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		is          string
		env         map[string]string
		value, from string
		err         error
		says        string
	}{
		{is: "nowhere", env: map[string]string{}},
		{is: "empty variables", env: map[string]string{"NAME": "", "NAME_FILE": "", "CREDENTIALS_DIRECTORY": ""}},
		{is: "variable first", env: map[string]string{"NAME": "variable\n", "NAME_FILE": file, "CREDENTIALS_DIRECTORY": creds}, value: "variable\n", from: "NAME"},
		{is: "then file", env: map[string]string{"NAME_FILE": file, "CREDENTIALS_DIRECTORY": creds}, value: " file \r\n", from: "NAME_FILE"},
		{is: "then credential", env: map[string]string{"CREDENTIALS_DIRECTORY": creds}, value: "credential", from: "systemd credential NAME"},
		{is: "other credentials", env: map[string]string{"CREDENTIALS_DIRECTORY": dir}},
		{is: "no such file", env: map[string]string{"NAME_FILE": none, "CREDENTIALS_DIRECTORY": creds}, err: leger.ErrInvalid, says: "NAME_FILE"},
		{is: "too long", env: map[string]string{"NAME_FILE": long}, err: leger.ErrInvalid, says: "longer than"},
		{is: "credentials that cannot be read", env: map[string]string{"CREDENTIALS_DIRECTORY": loop}, err: leger.ErrInvalid, says: "systemd credential NAME"},
	} {
		t.Run(c.is, func(t *testing.T) {
			t.Parallel()
			lookup := environ.Lookup(func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
			value, from, err := lookup.Value("NAME")
			if c.err == nil && (err != nil || value != c.value || from != c.from) {
				t.Errorf("%q from %q (%v); want %q from %q", value, from, err, c.value, c.from)
			}
			if c.err != nil && (!errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("the error is %v; want %v that says %q", err, c.err, c.says)
			}
		})
	}
}

func TestFindTellsTheFile(t *testing.T) {
	t.Parallel()
	creds := t.TempDir()
	path := write(t, creds, "KEY", "k")
	env := map[string]string{"CREDENTIALS_DIRECTORY": creds}
	lookup := environ.Lookup(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if s, err := lookup.Find("KEY"); err != nil || s.File != path || !s.Credential {
		t.Errorf("found %+v (%v); want the credential %s", s, err, path)
	}
	env["KEY_FILE"] = "/somewhere"
	if s, err := lookup.Find("KEY"); err != nil || s.File != "/somewhere" || s.Credential {
		t.Errorf("found %+v (%v); want the file /somewhere", s, err)
	}
}
