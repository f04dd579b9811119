package leger_test

import (
	"encoding"
	"errors"
	"regexp"
	"strings"
	"testing"

	"leger.run/leger"
)

// wantInvalid fails unless err is ErrInvalid about a field.
func wantInvalid(t *testing.T, what string, err error, field string) {
	t.Helper()
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeInvalid || e.Field != field || e.Message == "" {
		t.Errorf("%s: %v, want an error about the field %s", what, err, field)
	}
}

func TestSecretNames(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "A", "0", "_", "openai_api_key", "a-b", "a-", "__", "-_"[1:], strings.Repeat("n", 128)} {
		if n, err := leger.ParseSecretName(good); err != nil || n.String() != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "-", "-a", "a b", " a", "a ", "a\n", "\na", "a.b", "a/b", "..", "a:b", "a=b", "a,b", "é", "a\x00", "a\xff", "ａ", "a*", strings.Repeat("n", 129),
	} {
		_, err := leger.ParseSecretName(bad)
		wantInvalid(t, bad, err, "name")
	}
}

func TestReleaseNames(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "my-openwebui", "Blog.2", "0_", "a..b", strings.Repeat("n", 63)} {
		if n, err := leger.ParseReleaseName(good); err != nil || n.String() != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n", "a\x00", "é", strings.Repeat("n", 64)} {
		_, err := leger.ParseReleaseName(bad)
		wantInvalid(t, bad, err, "name")
	}
	one, err := leger.ParseReleaseName("My-App.V2")
	if err != nil || one.Key() != "my-app.v2" {
		t.Errorf("key %q, %v", one.Key(), err)
	}
}

// What is shown of rejected input can neither fill nor steer a terminal.
func TestRejectedInputIsShownSafely(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"\x1b[2J", "a\u202eb", "\u2066x", "\r\nX-Header: 1", strings.Repeat("n", 1<<20), "\xff\xfe"} {
		_, err := leger.ParseSecretName(bad)
		if err == nil {
			t.Fatalf("%q is a name", bad)
		}
		if got := err.Error(); len(got) > 400 || !isPlain(got) {
			t.Errorf("%.40q is shown as %q", bad, got)
		}
	}
}

func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == '\uFFFD'
	})
}

// parsed is what every parsed type can do.
type parsed[T any] interface {
	*T
	encoding.TextMarshaler
	encoding.TextUnmarshaler
	String() string
}

// roundTrip: a value that exists parses to itself, through text too, and a text
// that is no value leaves the zero value.
func roundTrip[T comparable, P parsed[T]](t *testing.T, parse func(string) (T, error), s string) (T, bool) {
	t.Helper()
	v, err := parse(s)
	var zero T
	if err != nil {
		if !errors.Is(err, leger.ErrInvalid) || v != zero {
			t.Errorf("%q: %v with the value %v", s, err, v)
		}
		return v, false
	}
	b, err := P(&v).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := P(&back).UnmarshalText(b); err != nil || back != v || P(&v).String() != string(b) {
		t.Errorf("%q: %v comes back as %v, %v", s, v, back, err)
	}
	return v, true
}

func FuzzParseSecretName(f *testing.F) {
	for _, s := range []string{"a", "-a", "a\n", "", strings.Repeat("n", 129), "é"} {
		f.Add(s)
	}
	// Podman's own rule (containers/common, pkg/secrets), and nothing a path or an
	// option would read.
	podman := regexp.MustCompile(`^[^,/=\x00]{1,253}$`)
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := roundTrip(t, leger.ParseSecretName, s)
		if ok && (n.String() != s || len(s) > leger.MaxSecretName || strings.ContainsAny(s, `/\.: `) || s[0] == '-' || !podman.MatchString(s)) {
			t.Errorf("%q is a name", s)
		}
	})
}

func FuzzParseReleaseName(f *testing.F) {
	for _, s := range []string{"a", ".a", "a\n", "", strings.Repeat("n", 64), "A.b-c_d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := roundTrip(t, leger.ParseReleaseName, s)
		if !ok {
			return
		}
		if n.String() != s || len(s) > leger.MaxReleaseName || strings.ContainsAny(s, "/\\ \x00\n") || s[0] == '-' || s[0] == '.' {
			t.Errorf("%q is a name", s)
		}
		if key, err := leger.ParseReleaseName(n.Key()); err != nil || key.Key() != n.Key() {
			t.Errorf("the key %q of %q is no name of the same key: %v", n.Key(), s, err)
		}
	})
}
