package gitrepo_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/gitrepo"
	"leger.run/leger/internal/run"
)

// A token reaches git through a pipe: it is in no process's arguments or
// environment and in no file while git runs, and goes to the source's host alone.
func TestAToken(t *testing.T) {
	t.Parallel()
	const secret = "canary-token-5b1f"
	elsewhere := newRemote(t, nil) // told apart by its port
	var mu sync.Mutex
	var looked int
	r := newRemote(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			user, password, ok := req.BasicAuth()
			if !ok || user != "x-access-token" || password != secret {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			mu.Lock()
			looked++
			searchProcesses(t, secret)
			mu.Unlock()
			next.ServeHTTP(w, req)
		})
	})
	dir := r.repo("private.git", commitTo("main", file("100644", "web.container", "x")))
	fetch := func(token string) (gitrepo.Tree, error) {
		return newClient(t, func(cfg *gitrepo.Config) { cfg.Token = leger.NewPlaintext([]byte(token)) }).Fetch(t.Context(), r.source("private.git", "main", ""))
	}
	for _, token := range []string{secret, secret + "\n"} {
		tree, err := fetch(token)
		if err != nil || tree.Commit != r.commit(dir, "main") {
			t.Errorf("with the token: %v, %v", tree.Commit, err)
		}
	}
	if looked == 0 {
		t.Error("git was never looked at while it had the token")
	}
	for name, token := range map[string]string{"wrong": "another", "none": ""} {
		if _, err := fetch(token); !errors.Is(err, leger.ErrForbidden) || strings.Contains(err.Error(), "another") {
			t.Errorf("%s: %v, want forbidden", name, err)
		}
	}
	// What would end the line could tell git another host.
	for _, token := range []string{"a\nhost=evil", "a\x00", "\n", strings.Repeat("a", 5000)} {
		if _, err := fetch(token); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("token %q: %v, want invalid", token[:min(len(token), 10)], err)
		}
	}
	elsewhere.repo("open.git", commitTo("main", file("100644", "a", "x")))
	c := newClient(t, func(cfg *gitrepo.Config) { cfg.Token = leger.NewPlaintext([]byte(secret)) })
	if _, err := c.Fetch(t.Context(), elsewhere.source("open.git", "main", "")); err != nil {
		t.Errorf("a repository that asks for nothing: %v", err)
	}
	if _, err := c.Fetch(t.Context(), gitrepo.Source{Dir: dir}); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("a token for a directory: %v, want invalid", err)
	}
}

// searchProcesses looks for a value in the arguments and the environment of every
// process that may be looked at.
func searchProcesses(t *testing.T, value string) {
	t.Helper()
	for _, name := range []string{"cmdline", "environ"} {
		files, err := filepath.Glob("/proc/[0-9]*/" + name)
		if err != nil || len(files) == 0 {
			t.Errorf("no process can be looked at: %v", err)
		}
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), value) {
				t.Errorf("the token is in %s", f)
			}
		}
	}
}

// signing is a repository whose commits are signed with a key of its own.
type signing struct {
	*remote
	dir, work, key string
}

func newSigning(t *testing.T) *signing {
	t.Helper()
	s := &signing{remote: newRemote(t, nil), work: t.TempDir()}
	s.dir = s.repo("signed.git", "")
	s.key = filepath.Join(t.TempDir(), "key")
	s.program("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", s.key)
	s.git(s.work, nil, "init", "--quiet", "--initial-branch=main")
	return s
}

func (s *signing) program(path string, args ...string) {
	s.t.Helper()
	res, err := s.run.Run(s.t.Context(), run.Command{Path: path, Args: args, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.root}})
	if err != nil || res.Code != 0 {
		s.t.Fatalf("%s: %v\n%s", path, err, res.Stderr)
	}
}

// signers is a file that allows the repository's key to this principal.
func (s *signing) signers(principal string) string {
	s.t.Helper()
	public, err := os.ReadFile(s.key + ".pub")
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "allowed_signers")
	if err := os.WriteFile(path, []byte(principal+" "+string(public)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// commit makes and pushes a commit; args go before the subcommand.
func (s *signing) change(args ...string) {
	s.t.Helper()
	s.git(s.work, nil, append(args, "commit", "--quiet", "--allow-empty", "-m", "x")...)
	s.git(s.work, nil, "push", "--quiet", "--force", s.dir, "HEAD:refs/heads/main")
}

func (s *signing) withKey() []string {
	return []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + s.key, "-c", "commit.gpgSign=true"}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	allowed, others := s.signers("alice@example.com"), newSigning(t).signers("mallory@example.com")
	fetch := func(ref, signers string) (gitrepo.Tree, error) {
		return newClient(t, func(cfg *gitrepo.Config) { cfg.AllowedSigners = signers }).Fetch(t.Context(), s.source("signed.git", ref, ""))
	}
	s.change(s.withKey()...)
	tree, err := fetch("main", allowed)
	if err != nil || !strings.HasPrefix(tree.SignedBy, "alice@example.com (SHA256:") {
		t.Errorf("signed by %q, %v", tree.SignedBy, err)
	}
	if tree, err := fetch("main", ""); err != nil || tree.SignedBy != "" {
		t.Errorf("not asked for: %q, %v", tree.SignedBy, err)
	}
	if _, err := fetch("main", others); !errors.Is(err, leger.ErrForbidden) {
		t.Errorf("a key that is not allowed: %v, want forbidden", err)
	}

	s.change()
	if _, err := fetch("main", allowed); !errors.Is(err, leger.ErrForbidden) {
		t.Errorf("without a signature: %v, want forbidden", err)
	}
	// A signed tag on a commit that is not signed.
	s.git(s.work, nil, append(s.withKey(), "tag", "-s", "-m", "x", "v1")...)
	s.git(s.work, nil, "tag", "v2")
	s.git(s.work, nil, "tag", "-m", "x", "v3")
	s.git(s.work, nil, "push", "--quiet", s.dir, "v1", "v2", "v3")
	if tree, err := fetch("v1", allowed); err != nil || !strings.HasPrefix(tree.SignedBy, "alice@example.com") {
		t.Errorf("a signed tag: %q, %v", tree.SignedBy, err)
	}
	for _, ref := range []string{"v2", "v3"} {
		if _, err := fetch(ref, allowed); !errors.Is(err, leger.ErrForbidden) {
			t.Errorf("tag %s: %v, want forbidden", ref, err)
		}
	}
	// A commit that was changed after it was signed.
	s.change(s.withKey()...)
	text := string(s.git(s.dir, nil, "cat-file", "commit", "main"))
	forged := strings.TrimSpace(string(s.git(s.dir, []byte(strings.TrimSuffix(text, "x\n")+"y\n"), "hash-object", "-t", "commit", "-w", "--stdin")))
	s.git(s.dir, nil, "update-ref", "refs/heads/main", forged)
	if _, err := fetch("main", allowed); !errors.Is(err, leger.ErrForbidden) {
		t.Errorf("a forged one: %v, want forbidden", err)
	}
}

// A signature of GnuPG's counts when the user's own keyring trusts the key fully.
func TestSignaturesOfGnuPG(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	home, err := os.MkdirTemp("", "lg") // the agent's socket needs a short path
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, ".gnupg"), 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	in := func(program string, args ...string) {
		t.Helper()
		res, err := s.run.Run(t.Context(), run.Command{Path: program, Args: args, Dir: s.work, Env: append(env,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")})
		if err != nil || res.Code != 0 {
			t.Fatalf("%s: %v\n%s", program, err, res.Stderr)
		}
	}
	t.Cleanup(func() {
		_, _ = s.run.Run(context.WithoutCancel(t.Context()), run.Command{Path: "gpgconf", Args: []string{"--kill", "all"}, Env: env})
		_ = os.RemoveAll(home)
	})
	in("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "Alice <alice@example.com>", "ed25519", "sign", "never")
	in("git", "-c", "user.signingKey=alice@example.com", "commit", "--quiet", "--allow-empty", "-S", "-m", "x")
	in("git", "push", "--quiet", s.dir, "HEAD:refs/heads/main")
	fetch := func(home string) (gitrepo.Tree, error) {
		return newClient(t, func(cfg *gitrepo.Config) {
			cfg.AllowedSigners, cfg.Env = s.signers("bob@example.com"), []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
		}).Fetch(t.Context(), s.source("signed.git", "main", ""))
	}
	if tree, err := fetch(home); err != nil || !strings.Contains(tree.SignedBy, "Alice <alice@example.com>") {
		t.Errorf("signed by %q, %v", tree.SignedBy, err)
	}
	if _, err := fetch(t.TempDir()); !errors.Is(err, leger.ErrForbidden) {
		t.Errorf("a key that the keyring does not have: %v, want forbidden", err)
	}
}

// A token is given for an origin: scheme, host and port.
func TestOrigin(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"https://example.com/a.git":      "https://example.com:443",
		"https://EXAMPLE.com:443/b/c":    "https://example.com:443",
		"https://example.com./a":         "https://example.com:443",
		"https://example.com:8443/a.git": "https://example.com:8443",
		"http://127.0.0.1:3000/a.git":    "http://127.0.0.1:3000",
		"http://example.ts.net/a.git":    "http://example.ts.net:80",
		"https://[::1]/a":                "https://[::1]:443",
		"ssh://git@example.com/a.git":    "",
		"git@example.com:a.git":          "",
		"/home/me/quadlets":              "",
		"":                               "",
	} {
		if got := gitrepo.Origin(remote); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}

// A host that has the token sends git on to another one, which asks for a
// password: it must not get it. Redirects are followed on https alone.
func TestATokenDoesNotFollowARedirect(t *testing.T) {
	t.Parallel()
	const secret = "canary-token-90ac"
	var mu sync.Mutex
	arrived := map[string][]string{} // Authorization by host
	var next string                  // where the second host is
	handler := func(name string, backend http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, password, ok := req.BasicAuth()
			mu.Lock()
			arrived[name] = append(arrived[name], password+" "+req.URL.Path)
			mu.Unlock()
			switch {
			case !ok && !strings.HasPrefix(req.URL.Path, "/open/") && (name == "second" || strings.HasPrefix(req.URL.Path, "/late/")):
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			case name == "first":
				http.Redirect(w, req, next+req.URL.RequestURI(), http.StatusFound)
			default:
				http.StripPrefix("/open", backend).ServeHTTP(w, req)
			}
		})
	}
	r := newRemote(t, nil)
	dir := r.repo("a.git", commitTo("main", file("100644", "web.container", "x")))
	first := httptest.NewTLSServer(handler("first", nil))
	second := httptest.NewTLSServer(handler("second", r.backend))
	t.Cleanup(first.Close)
	t.Cleanup(second.Close)
	next = second.URL
	trust := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	fetch := func(path string) (gitrepo.Tree, error) {
		u, err := leger.ParseGitURL(first.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		return newClient(t, func(cfg *gitrepo.Config) {
			cfg.Token = leger.NewPlaintext([]byte(secret))
			cfg.Runner = run.New(run.Config{Path: trusting(t, trust) + ":" + os.Getenv("PATH")})
		}).Fetch(t.Context(), gitrepo.Source{URL: u})
	}
	if tree, err := fetch("/open/a.git"); err != nil || tree.Commit != r.commit(dir, "main") {
		t.Errorf("a redirect to a repository that wants nothing: %v, %v", tree.Commit, err)
	}
	// The first sends git on at once, or once it has the token.
	for _, path := range []string{"/early/a.git", "/late/a.git"} {
		if _, err := fetch(path); !errors.Is(err, leger.ErrForbidden) {
			t.Errorf("%s, a redirect to one that wants a password: %v, want forbidden", path, err)
		}
	}
	if got := strings.Join(arrived["first"], "\n"); !strings.Contains(got, secret) {
		t.Errorf("the host that the token is for did not get it: %q", got)
	}
	if got := strings.Join(arrived["second"], "\n"); strings.Contains(got, secret) || !strings.Contains(got, "/early/") || !strings.Contains(got, "/late/") {
		t.Errorf("the other host got %q", got)
	}
}

// trusting is a directory with a git that trusts the certificates in a file.
func trusting(t *testing.T, certificates string) string {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\nGIT_SSL_CAINFO='" + certificates + "' exec '" + git + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
