package leger_test

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"leger.run/leger"
)

// unshowable is what no text may hold that is kept and shown: each of these moves a
// cursor, turns a text round or hides a part of it.
func unshowable() map[string]string {
	return map[string]string{
		"carriage return": "\r", "escape": "\x1b[2J", "NUL": "\x00", "DEL": "\x7f", "C1 control": "\u009b", "C1 as a byte": "\x9b",
		"right-to-left override": "\u202e", "isolate": "\u2066", "zero-width space": "\u200b", "line separator": "\u2028",
		"byte order mark": "\ufeff", "tag character": "\U000e0041", "no-break space": "\u00a0", "not UTF-8": "\xff",
	}
}

// texts are the fields that keep what somebody wrote.
func texts(t *testing.T) map[string]func(string) error {
	t.Helper()
	_, private, err := ed25519.GenerateKey(strings.NewReader(strings.Repeat("k", 64)))
	if err != nil {
		t.Fatal(err)
	}
	machine := leger.Machine{Name: "box", UnixUser: "me", Role: leger.RoleFull, Key: leger.MachineKeyOf(private)}
	report := leger.HostReport{DeviceID: "d", Name: "box"}
	person := leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(1), Email: "a@b", Tailnet: "t"}
	return map[string]func(string) error{
		"git_url": func(s string) error { _, err := leger.ParseGitURL("https://example.com/x" + s + "y"); return err },
		"git_url of ssh": func(s string) error {
			_, err := leger.ParseGitURL("git@example.com:x" + s + "y")
			return err
		},
		"git_branch":        func(s string) error { _, err := leger.ParseGitRef("a" + s + "b"); return err },
		"git_path":          func(s string) error { _, err := leger.ParseGitPath("a" + s + "b"); return err },
		"description":       func(s string) error { _, err := leger.ParseDescription("a" + s + "b"); return err },
		"display_name":      func(s string) error { _, err := leger.ParseDisplayName("a" + s + "b"); return err },
		"device_id":         func(s string) error { _, err := leger.ParseDeviceID("a" + s + "b"); return err },
		"machine's name":    func(s string) error { return leger.ParseMachineName("a" + s + "b") },
		"client's version":  func(s string) error { _, err := leger.ParseClientVersion("1" + s + "2"); return err },
		"machine's version": func(s string) error { m := machine; m.CLIVersion = "1" + s + "2"; return m.Validate() },
		"unix_user":         func(s string) error { m := machine; m.UnixUser = "a" + s + "b"; return m.Validate() },
		"host's name":       func(s string) error { r := report; r.Name = "a" + s + "b"; return r.Validate() },
		"legerd_version":    func(s string) error { r := report; r.LegerdVersion = "a" + s + "b"; return r.Validate() },
		"email":             func(s string) error { p := person; p.Email = "a" + s + "@b"; return p.Validate() },
		"tailnet":           func(s string) error { p := person; p.Tailnet = "a" + s + "b"; return p.Validate() },
		"secret's name":     func(s string) error { _, err := leger.ParseSecretName("a" + s + "b"); return err },
		"release's name":    func(s string) error { _, err := leger.ParseReleaseName("a" + s + "b"); return err },
		"group":             func(s string) error { _, err := leger.ParseMachineGroups([]string{"a" + s + "b"}); return err },
	}
}

// A branch with U+202E and a description with a lone carriage return were kept, and
// shown as something that they are not.
func TestNoTextIsKeptThatCannotBeShown(t *testing.T) {
	t.Parallel()
	for field, parse := range texts(t) {
		if err := parse(""); err != nil {
			t.Errorf("%s: %v", field, err)
		}
		for what, bad := range unshowable() {
			err := parse(bad)
			if err == nil {
				t.Errorf("%s takes a text with %s", field, what)
			} else if strings.ContainsFunc(err.Error(), func(r rune) bool { return !leger.Printable(r) }) {
				t.Errorf("%s: the error shows %q", field, err)
			}
		}
	}
	for _, encoded := range []string{"https://a%E2%80%AEb.example/x", "https://example.com/a%E2%80%AEb", "ssh://a%C2%9Bb@example.com/x"} {
		_, err := leger.ParseGitURL(encoded)
		wantInvalid(t, encoded, err, "git_url")
	}
}

func TestPrintableText(t *testing.T) {
	t.Parallel()
	for what, bad := range unshowable() {
		got := leger.PrintableText("a" + bad + "b")
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || !strings.HasPrefix(got, "a\uFFFD") || got[len(got)-1] != 'b' {
			t.Errorf("%s: %q", what, got)
		}
	}
	if text := "grün 日本 🙂"; leger.PrintableText(text) != text {
		t.Errorf("%q is %q", text, leger.PrintableText(text))
	}
}

// What is repeated of an input has no credentials in its URLs.
func TestWithoutPasswords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://u:canary@host/x":                      "http://…@host/x",
		"HTTPS://canary@host":                         "HTTPS://…@host",
		"https://u:c@n@ry@host":                       "https://…@host",
		"ssh://git:canary@host/x":                     "ssh://git:…@host/x",
		"socks5://u:canary@proxy:1":                   "socks5://u:…@proxy:1",
		`bad "http://u:canary@a" and http://v:pw@b/c`: `bad "http://…@a" and http://…@b/c`,
		"ssh://git@host/x":                            "ssh://git@host/x",
		"git@host:x":                                  "git@host:x",
		"https://host/a@b?c@d":                        "https://host/a@b?c@d",
		"alice@example.com at https://host":           "alice@example.com at https://host",
	} {
		if got := leger.WithoutPasswords(text); got != want {
			t.Errorf("%s is shown as %s; want %s", text, got, want)
		}
	}
	_, err := leger.ParseReleaseName("https://u:canary-pw@host/x")
	if err == nil || strings.Contains(err.Error(), "canary-pw") {
		t.Errorf("a URL in a name's place: %v", err)
	}
}

func TestFilePaths(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "a/b", ".a", "..a/b", "a b", "é"} {
		if !leger.ValidFilePath(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", ".", "..", "/", "/a", "a/", "./a", "a/.", "a/./b", "../a", "a/..", "a//b", "\xff"} {
		if leger.ValidFilePath(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}
