package settings_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/settings"
)

// set sets a key in the text of a settings file.
func set(t *testing.T, text, key, value string) ([]byte, error) {
	t.Helper()
	k, err := settings.Named(key)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Set([]byte(text), k, value)
}

func TestSettingAKeyKeepsTheRestOfTheFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, key, value, after string }{
		{"", "server", "https://a", "server = \"https://a\"\n"},
		{"# hi\n", "server", "https://a", "# hi\nserver = \"https://a\"\n"},
		{"[git]\nuser_settings = true\n", "server", "https://a", "server = \"https://a\"\n[git]\nuser_settings = true\n"},
		{"[git]\n\n[auth]\n", "git.user_settings", "true", "[git]\nuser_settings = true\n\n[auth]\n"},
		{"x = 1\n", "auth.shared_secret_file", `/a "b"`, "x = 1\n\n[auth]\nshared_secret_file = '/a \"b\"'\n"},
		{"server = \"https://a\"", "server", "https://b", "server = \"https://b\"\n"},
	} {
		got, err := set(t, c.before, c.key, c.value)
		if err != nil || string(got) != c.after {
			t.Errorf("%q + %s: %q, %v; want %q", c.before, c.key, got, err, c.after)
		}
	}
	// Written in ways that lines cannot tell: refused, not mangled.
	for _, odd := range []string{"auth.shared_secret_file = \"x\"\n", "auth = { shared_secret_file = \"x\" }\n"} {
		if got, err := set(t, odd, "auth.shared_secret_file", "/y"); err == nil {
			t.Errorf("%q became %q", odd, got)
		}
	}
}

// Whatever the file says, setting a key changes that key and nothing else, or
// fails.
func FuzzSet(f *testing.F) {
	f.Add("# c\nserver = \"https://a\"\n[git]\nuser_settings = true\n", "https://b")
	f.Add("[auth]\nshared_secret_file = '''\nserver = 1\n'''\n", "https://b")
	f.Add("auth.x = 1\n[[git]]\n", "\"")
	f.Fuzz(func(t *testing.T, text, value string) {
		before, err := settings.Parse([]byte(text))
		if err != nil {
			return
		}
		after, err := set(t, text, "server", value)
		if err != nil {
			return
		}
		now, err := settings.Parse(after)
		if err != nil || now.Values["server"] != value {
			t.Fatalf("%q became %q: %v", text, after, err)
		}
		before.Values["server"] = value
		if fmt.Sprint(before) != fmt.Sprint(now) {
			t.Errorf("%v became %v", before, now)
		}
	})
}

// Each place wins over those below it: the flag, the variable, the user's file, the
// machine's file, the server of the sign-in, the default.
func TestWhichPlaceWins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := map[string]string{"LEGER_SERVER": "https://variable"}
	cfg := settings.Config{
		Env:      func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		UserFile: file("user", `server = "https://user"`), SystemFile: file("system", `server = "https://system"`),
		Flag: "https://flag", SignedIn: func() string { return "https://signed-in" },
	}
	for _, step := range []struct {
		value, from string
		without     func()
	}{
		{"https://flag", "--server", func() { cfg.Flag = "" }},
		{"https://variable", "LEGER_SERVER", func() { delete(env, "LEGER_SERVER") }},
		{"https://user", cfg.UserFile, func() { cfg.UserFile = filepath.Join(dir, "none") }},
		{"https://system", cfg.SystemFile, func() { cfg.SystemFile = filepath.Join(dir, "none") }},
		{"https://signed-in", "signed in", func() { cfg.SignedIn = func() string { return "" } }},
		{"", "default", func() {}},
	} {
		got, err := settings.New(cfg).Get(settings.Server)
		if err != nil || got.Value != step.value || got.From != step.from {
			t.Errorf("got %q from %q (%v), want %q from %q", got.Value, got.From, err, step.value, step.from)
		}
		step.without()
	}
}

// A value that a file gives is checked when it is used, and the error names the
// setting; a file that is no TOML names its line.
func TestWhatIsNotValidIsSaid(t *testing.T) {
	t.Parallel()
	none := func(string) (string, bool) { return "", false }
	for text, field := range map[string]string{
		"[git]\nuser_settings = \"maybe\"\n": settings.GitUserSettings,
		"podman = \"\"\n":                    settings.Podman,
	} {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := settings.New(settings.Config{Env: none, UserFile: path, SystemFile: path + ".none"}).Get(field)
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeInvalid || e.Field != field {
			t.Errorf("%q: %v", text, err)
		}
	}
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("server = \"https://a\"\n= 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := settings.ReadFile(path); !errors.Is(err, leger.ErrInvalid) || !strings.Contains(err.Error(), path+":2") {
		t.Errorf("a line that is no TOML: %v", err)
	}
	if _, err := settings.Named("colour"); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("a setting that there is not: %v", err)
	}
}

// Of a value that is not valid nothing is given: it may hold a password, and what is
// printed of settings is the value. The error says which place it is from.
func TestAnInvalidValueIsNotGiven(t *testing.T) {
	t.Parallel()
	const bad = "http://u:canary-pw@host"
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("server = \""+bad+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unset := func(string) (string, bool) { return "", false }
	for place, cfg := range map[string]settings.Config{
		"--server":     {Env: unset, Flag: bad},
		"LEGER_SERVER": {Env: func(name string) (string, bool) { return bad, name == "LEGER_SERVER" }},
		path:           {Env: unset, UserFile: path, SystemFile: path + ".none"},
		path + " too":  {Env: unset, UserFile: path + ".none", SystemFile: path},
	} {
		got, err := settings.New(cfg).Get(settings.Server)
		if !errors.Is(err, leger.ErrInvalid) || got.Value != "" || strings.Contains(fmt.Sprint(err), "canary-pw") {
			t.Errorf("%s: %+v, %v", place, got, err)
		}
		if !strings.Contains(fmt.Sprint(err), "("+strings.TrimSuffix(place, " too")+")") {
			t.Errorf("%s: %v; want the place named", place, err)
		}
	}
}

// A path may begin with ~/, which is the user's home and not the directory ~.
func TestPathsFromHome(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("podman = \"~/bin/podman\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := settings.New(settings.Config{
		Env:      func(name string) (string, bool) { return "/home/me", name == "HOME" },
		UserFile: path, SystemFile: path + ".none",
	})
	if got, err := s.Path(settings.Podman); err != nil || got.Value != "/home/me/bin/podman" {
		t.Errorf("%q, %v", got.Value, err)
	}
}
