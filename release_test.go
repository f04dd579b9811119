package leger_test

import (
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"leger.run/leger"
)

func goodURLs() []string {
	return []string{
		"https://github.com/alice/quadlets", "https://github.com/alice/quadlets.git", "https://example.com:8443/x", "https://[::1]/x", "https://example.com/%C3%A9",
		"https://example.com/a%20b", "https://example.com/~alice/x", "https://exämple.com/x",
		"ssh://git@example.com/x", "ssh://example.com:2222/~alice/x.git", "ssh://git@[2001:db8::1]:22/x",
		"git@github.com:alice/quadlets.git", "alice@host:x", "alice@host:/srv/git/x", "alice@host:~/x", "git@[::1]:x", "git@[2001:db8::1]:x", "a_b.c-d@host:x",
		"http://localhost/x", "http://localhost:3000/x", "http://127.0.0.1/x", "http://127.8.9.10:80/x", "http://[::1]:8080/x", "http://git.example.ts.net/x", "http://GIT.EXAMPLE.TS.NET./x",
	}
}

func badURLs() map[string]string {
	return map[string]string{
		"empty":                        "",
		"an option":                    "--upload-pack=touch /tmp/x",
		"an option without spaces":     "--upload-pack=x",
		"a short option":               "-oProxyCommand=x",
		"an option as host":            "ssh://-oProxyCommand=x/y",
		"an option as user":            "ssh://-x@host/y",
		"an encoded option as user":    "ssh://%2dx@host/y",
		"an option as scp user":        "-x@host:y",
		"an option as scp host":        "x@-host:y",
		"an option as scp path":        "x@host:-y",
		"a transport helper":           "ext::sh -c id",
		"a helper without spaces":      "ext::id",
		"a helper with an address":     "ext::x@host:y",
		"a helper with a URL":          "ext::https://example.com/x",
		"a file descriptor":            "fd::17",
		"a file":                       "file:///etc",
		"a path":                       "/srv/git/x",
		"a relative path":              "../x",
		"a home path":                  "~/x",
		"a name":                       "x",
		"scp without a user":           "host:x",
		"scp without a path":           "git@host:",
		"scp with only a slash":        "git@host:/",
		"scp with two slashes":         "git@host://x",
		"git's own protocol":           "git://example.com/x",
		"ftp":                          "ftp://example.com/x",
		"a scheme in upper case":       "HTTPS://example.com/x",
		"a password":                   "https://alice:canary-pw@example.com/x",
		"a token":                      "https://canary-pw@example.com/x",
		"an empty user":                "https://@example.com/x",
		"a password for ssh":           "ssh://alice:canary-pw@example.com/x",
		"an empty password for ssh":    "ssh://alice:@example.com/x",
		"a password without a scheme":  "alice:canary-pw@example.com/x",
		"http":                         "http://example.com/x",
		"http that looks like local":   "http://localhost.example.com/x",
		"http to a name like loopback": "http://127.0.0.1.example.com/x",
		"http to a short address":      "http://127.1/x",
		"http to a number":             "http://2130706433/x",
		"http to an octal address":     "http://0177.0.0.1/x",
		"http to ts.net's twin":        "http://evilts.net/x",
		"http to a zone":               "http://[fe80::1%25eth0]/x",
		"http to anywhere":             "http://0.0.0.0/x",
		"a query":                      "https://example.com/x?ref=main",
		"an empty query":               "https://example.com/x?",
		"a fragment":                   "https://example.com/x#main",
		"no repository":                "https://example.com",
		"only slashes":                 "https://example.com//",
		"no host":                      "https:///x",
		"a port of letters":            "https://example.com:port/x",
		"port 0":                       "https://example.com:0/x",
		"port 65536":                   "https://example.com:65536/x",
		"a line break":                 "https://example.com/x\n",
		"an encoded line break":        "https://example.com/x%0ay",
		"an encoded NUL":               "https://example.com/x%00",
		"an encoded break in the user": "ssh://a%0ab@example.com/x",
		"NUL":                          "https://example.com/\x00",
		"an escape sequence":           "https://example.com/\x1b[31m",
		"text turned round":            "https://example.com/\u202ex",
		"a space":                      "https://example.com/a b",
		"a backslash":                  `https://example.com\@evil.example/x`,
		"a shell's word":               "https://example.com/$(id)",
		"not UTF-8":                    "https://example.com/\xff",
		"a bad escape":                 "https://example.com/%zz",
		"too long":                     "https://example.com/" + strings.Repeat("x", 2048),
	}
}

func TestGitURLs(t *testing.T) {
	t.Parallel()
	for _, good := range goodURLs() {
		if u, err := leger.ParseGitURL(good); err != nil || u.String() != good {
			t.Errorf("%s: %v", good, err)
		}
	}
	for what, bad := range badURLs() {
		_, err := leger.ParseGitURL(bad)
		wantInvalid(t, what, err, "git_url")
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary-pw") {
			t.Errorf("%s: the error shows the password: %v", what, err)
		}
	}
}

func FuzzParseGitURL(f *testing.F) {
	for _, s := range goodURLs() {
		f.Add(s)
	}
	for _, s := range badURLs() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := roundTrip(t, leger.ParseGitURL, s)
		if !ok {
			return
		}
		if u.String() != s || len(s) > leger.MaxGitURL || s[0] == '-' || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsAny(s, " \\'\"`$") {
			t.Errorf("%q is a Git URL", s)
		}
		scheme, _, hasScheme := strings.Cut(s, "://")
		user, rest, hasUser := strings.Cut(s, "@")
		if !hasScheme {
			// git takes what stands before "::" for a program, unless an '@' comes first.
			if !hasUser || strings.ContainsAny(user, ":/") || !strings.Contains(rest, ":") {
				t.Errorf("%q is a Git URL without a scheme", s)
			}
			return
		}
		parsed, err := url.Parse(s)
		if err != nil || parsed.Hostname() == "" || parsed.Hostname()[0] == '-' {
			t.Fatalf("%q has no host: %v", s, err)
		}
		if _, password := parsed.User.Password(); password || (parsed.User != nil && scheme != "ssh") || strings.HasPrefix(parsed.User.Username(), "-") {
			t.Errorf("%q has credentials", s)
		}
		if strings.ContainsFunc(parsed.Path+parsed.User.Username(), unicode.IsControl) {
			t.Errorf("%q has an encoded control character", s)
		}
	})
}

func goodRefs() []string {
	return []string{"main", "v1.0", "feature/one", "a-b_c", "release/2025.10", "é", "a@b", "@a", "a{b", "refs/heads/x", "HEADS", "x.lock.y", "0123456789abcdef0123456789abcdef01234567"}
}

func badRefs() []string {
	return []string{
		"-x", "--upload-pack=x", "a..b", "a b", "a\n", "a\x00b", "a\x7f", "a~1", "a^", "a:b", "a?", "a*", "a[b", `a\b`, "a@{1}", "@", "@{-1}", "HEAD",
		".a", "a/.b", "a.lock", "a.lock/b", "a.", "/a", "a/", "a//b", "\xff", "a\u202eb", strings.Repeat("a", 256),
	}
}

func TestGitRefs(t *testing.T) {
	t.Parallel()
	for _, good := range goodRefs() {
		if r, err := leger.ParseGitRef(good); err != nil || r.String() != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	if r, err := leger.ParseGitRef(""); err != nil || r.String() != "main" {
		t.Errorf("empty: %q, %v", r, err)
	}
	for _, bad := range badRefs() {
		_, err := leger.ParseGitRef(bad)
		wantInvalid(t, bad, err, "git_branch")
	}
}

// gitAccepts asks git itself.
func gitAccepts(t *testing.T, ref string) bool {
	t.Helper()
	if strings.ContainsRune(ref, 0) { // which no argument can hold
		return false
	}
	cmd := exec.CommandContext(t.Context(), "git", "check-ref-format", "--branch", ref)
	cmd.Dir = t.TempDir()
	return cmd.Run() == nil
}

// What Leger takes git takes. The other way round only four are refused besides:
// "@", which elsewhere means HEAD, what is not UTF-8, what cannot be shown, and what is
// too long for a file's name.
func TestGitTakesTheSameRefs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatalf("the tests need git: %v", err)
	}
	for _, ref := range goodRefs() {
		if !gitAccepts(t, ref) {
			t.Errorf("git refuses %q", ref)
		}
	}
	for _, ref := range badRefs() {
		if gitAccepts(t, ref) && ref != "@" && ref != "\xff" && !strings.ContainsRune(ref, '\u202e') && len(ref) <= leger.MaxGitRef {
			t.Errorf("git takes %q", ref)
		}
	}
}

func FuzzParseGitRef(f *testing.F) {
	for _, s := range append(goodRefs(), badRefs()...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, ok := roundTrip(t, leger.ParseGitRef, s)
		if !ok || s == "" {
			return
		}
		if r.String() != s || s[0] == '-' || strings.Contains(s, "..") || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsAny(s, " ~^:?*[\\") || len(s) > leger.MaxGitRef {
			t.Errorf("%q is a ref", s)
		}
	})
}

func TestGitPaths(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", ".": "", "./": "", "a": "a", "a/b": "a/b", "a/": "a", "deploy/quadlets": "deploy/quadlets", "a b": "a b", "é": "é", "..a": "..a", ".github": ".github", "a/...": "a/...",
	} {
		if p, err := leger.ParseGitPath(in); err != nil || p.String() != want {
			t.Errorf("%q: %q, %v", in, p, err)
		}
	}
	for _, bad := range []string{
		"/", "/a", "//", "..", "../a", "a/..", "a/../b", "./a", "a/./b", "a//b", "a//", "-a", "--x", `a\b`, `..\a`, ".git", ".GIT/hooks", "a/.git", "a/.Git/b",
		"a\n", "a\x00", "a\x1b", "a\u202eb", "\xff", strings.Repeat("a", 513),
	} {
		_, err := leger.ParseGitPath(bad)
		wantInvalid(t, bad, err, "git_path")
	}
}

func FuzzParseGitPath(f *testing.F) {
	for _, s := range []string{"", ".", "./", "a/b", "../x", "a/./b", "/", "a//", ".git", "-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := roundTrip(t, leger.ParseGitPath, s)
		if !ok {
			return
		}
		got := p.String()
		if strings.HasPrefix(got, "/") || strings.HasPrefix(got, "-") || strings.HasSuffix(got, "/") || strings.Contains(got, "//") || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q is a path: %q", s, got)
		}
		for part := range strings.SplitSeq(got, "/") {
			if part == ".." || part == "." || strings.EqualFold(part, ".git") {
				t.Errorf("%q is a path: %q", s, got)
			}
		}
	})
}

func TestDescriptions(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "OpenWebUI setup", "two\nlines\n\tand more", strings.Repeat("é", 500), "🔑"} {
		if d, err := leger.ParseDescription(good); err != nil || d != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	if d, err := leger.ParseDescription("two\r\nlines\r\n"); err != nil || d != "two\nlines\n" {
		t.Errorf("%q, %v; want the lines with one kind of break", d, err)
	}
	for _, bad := range []string{"over\rwritten", "\r", "a\n\rb", strings.Repeat("é", 501), "\x1b]0;x\x07", "a\u202eb", "\xff", "a\x00"} {
		_, err := leger.ParseDescription(bad)
		wantInvalid(t, bad, err, "description")
	}
}
