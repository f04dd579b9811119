package leger_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
)

// patterns are what the functions say, as package regexp says it.
func patterns() map[string]struct {
	function func(string) bool
	pattern  *regexp.Regexp
} {
	type row = struct {
		function func(string) bool
		pattern  *regexp.Regexp
	}
	hex := `[0-9a-f]`
	return map[string]row{
		"finding kind": {leger.IsFindingKind, regexp.MustCompile(`^[a-z_]{1,32}$`)},
		"commit":       {leger.IsCommit, regexp.MustCompile(`^(` + hex + `{40}|` + hex + `{64})$`)},
		"release name": {leger.IsReleaseName, regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)},
		"user id":      {leger.IsTailscaleUserID, regexp.MustCompile(`^u[1-9][0-9]{0,19}$`)},
		"UUID": {leger.IsUUID, regexp.MustCompile(
			`^` + hex + `{8}-` + hex + `{4}-` + hex + `{4}-` + hex + `{4}-` + hex + `{12}$`)},
		"scp address": {leger.IsSCPAddress, regexp.MustCompile(
			`^[A-Za-z0-9_][A-Za-z0-9._-]*@([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([^/\s-]|/[^/\s])\S*$`)},
	}
}

// patternChecks gives what holds a text against package regexp. To it "ſ" is a form of
// "s", which no browser and no Git takes for one.
func patternChecks() func(t *testing.T, text string) {
	userinfo := regexp.MustCompile(`(?i)\b((?:https?|ftp)://)[^\s"'<>/?#]*@`)
	password := regexp.MustCompile(`(://[^\s"'<>/?#@:]*:)[^\s"'<>/?#]*@`)
	all := patterns()
	return func(t *testing.T, text string) {
		t.Helper()
		for name, p := range all {
			if got, want := p.function(text), p.pattern.MatchString(text); got != want {
				t.Errorf("%q is a %s: %v, want %v", text, name, got, want)
			}
		}
		want := password.ReplaceAllString(userinfo.ReplaceAllString(text, "${1}…@"), "${1}…@")
		if got := leger.WithoutPasswords(text); got != want && !strings.Contains(text, "ſ") {
			t.Errorf("%q without passwords: %q, want %q", text, got, want)
		}
	}
}

// FuzzPatterns holds what is said in code against what package regexp makes of it.
func FuzzPatterns(f *testing.F) {
	for _, text := range patternSeeds() {
		f.Add(text)
	}
	f.Fuzz(patternChecks())
}

func patternSeeds() []string {
	return []string{
		"", "u1", "u0", "u12345678901234567890", "u123456789012345678901", "secret_gone", "Secret", "web", ".web", "Web-2.0_x",
		strings.Repeat("a", 32), strings.Repeat("a", 33), strings.Repeat("a", 40), strings.Repeat("a", 63), strings.Repeat("a", 64),
		"0e6a8c1e-3b5d-4f6a-9c1d-0a1b2c3d4e5f", "0E6a8c1e-3b5d-4f6a-9c1d-0a1b2c3d4e5f", "0e6a8c1e-3b5d-4f6a-9c1d-0a1b2c3d4e5f\n",
		"git@example.com:a/b.git", "git@example.com:/a", "git@example.com://a", "git@[::1]:a", "git@[fe80::1%x]:a", "-@x:y", "a@b:-c",
		"a@b:/", "a@b:c d", "a@b:c\x85d", "a@\x10:b", "_@A:B", "a@b@c:d", "a@b:c@d:e", "a@[]:x", "a@[::]x:y", "a@b:\x00", "a@b:é",
		"https://u:p@h/x", "see https://u@h, ftp://a:b@c and ssh://u:p@h", "xhttps://u@h", "_http://u@h", "éhttp://u@h",
		"HTTP://u@@h/x@y", "://:@", "://a:@b", "://a:b:c@d@e/f@g", "http://\n@", "http://a://b:c@d", "ssh://u:p@h://x:y@z", "http://\xff@h",
		"http://u:p@http://u:p@h",
	}
}

func TestPatternsAreThoseOfRegexp(t *testing.T) {
	t.Parallel()
	seeds, checkPatterns := patternSeeds(), patternChecks()
	for _, text := range seeds {
		checkPatterns(t, text)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := append(slices.Clip(seeds), "://", "@", ":", "/", "http", "https", "ftp", "a", "Z", "0", "-", ".", "_", " ", "\t", "[", "]", "é", "\x80", "u")
	for range 20_000 {
		var b strings.Builder
		for range 1 + rng.IntN(6) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		checkPatterns(t, b.String())
	}
}
