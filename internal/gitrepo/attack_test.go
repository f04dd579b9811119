package gitrepo_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"leger.run/leger"
	"leger.run/leger/internal/gitrepo"
)

// What a hostile author may enter as a URL, branch, path or commit, aimed at
// git's options and remote helpers. Seen on git 2.39: "git clone
// --upload-pack=CMD" and "git fetch URL --upload-pack=CMD" run CMD.
func TestOptionsAndHelpersAreNeverOperands(t *testing.T) {
	t.Parallel()
	pwned := filepath.Join(t.TempDir(), "pwned")
	for _, s := range []string{
		"--upload-pack=touch " + pwned, "-u=touch" + pwned, "ext::sh -c touch% " + pwned, "ext::touch", "fd::17", "file:///etc",
		"/etc", "../x", "https://-oProxyCommand=touch/x", "ssh://-oProxyCommand=touch/x", "-oProxyCommand=touch:x", "https://a/b\n--upload-pack=x",
		"https://user:pw@example.com/x", "git://example.com/x", "transport-helper::https://example.com/x",
	} {
		if u, err := leger.ParseGitURL(s); err == nil {
			t.Errorf("%q is a URL: %v", s, u)
		}
	}
	for _, s := range []string{"--upload-pack=touch " + pwned, "-x", "a b", "x:y", "+x", "refs/../x", "@{-1}", "^x", "x*"} {
		if ref, err := leger.ParseGitRef(s); err == nil && s != "+x" {
			t.Errorf("%q is a ref: %v", s, ref)
		}
	}
	r := newRemote(t, nil)
	r.repo("app.git", commitTo("main", file("100644", "f", "x")))
	client := newClient(t, nil)
	// "+x" is a branch name that git allows; as a refspec a "+" has a meaning.
	_, err := client.Fetch(t.Context(), r.source("app.git", "+x", ""))
	wantError(t, "+x", err, leger.CodeNotFound, "git_branch", "main")
	for _, commit := range []string{"--upload-pack=touch " + pwned, "HEAD", "abc", strings.Repeat("z", 40), strings.Repeat("a", 40) + "^{/x}"} {
		src := r.source("app.git", "main", "")
		src.Commit = commit
		_, err := client.Fetch(t.Context(), src)
		wantError(t, commit, err, leger.CodeInvalid, "commit", "40 digits")
	}
	// A directory of this name is a local path, not an option and not a helper.
	for _, dir := range []string{"--upload-pack=touch " + pwned, "ext::sh -c touch% " + pwned} {
		_, err := client.Fetch(t.Context(), gitrepo.Source{Dir: dir})
		wantError(t, dir, err, leger.CodeNotFound, "git_url", "")
	}
	if _, err := os.Stat(pwned); err == nil {
		t.Error("a command ran")
	}
}

func TestLinksAndSubmodulesAreRefusedByName(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	submodule := "M 160000 0123456789012345678901234567890123456789 app/lib\n"
	r.repo("link.git", commitTo("main", file("100644", "app/f", "x"), file("120000", "app/passwd", "/etc/passwd")))
	r.repo("linkdir.git", commitTo("main", file("120000", "app", "/etc")))
	r.repo("sub.git", commitTo("main", file("100644", ".gitmodules", "[submodule \"x\"]\n\tpath = app/lib\n\turl = --upload-pack=x\n"), submodule))
	r.repo("lfs.git", commitTo("main", file("100644", "app/big", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), file("100644", ".gitattributes", "* filter=lfs\n")))
	client := newClient(t, nil)
	for name, want := range map[string]string{
		"link.git": `passwd is a symbolic link to "/etc/passwd"`, "sub.git": "lib is a submodule", "lfs.git": "big is kept in Git LFS",
	} {
		_, err := client.Fetch(t.Context(), r.source(name, "main", "app"))
		if !errors.Is(err, leger.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	_, err := client.Fetch(t.Context(), r.source("linkdir.git", "main", "app"))
	wantError(t, "the path is a link", err, leger.CodeNotFound, "git_path", "")
	// What lies beside the release's directory does not matter.
	r.repo("beside.git", commitTo("main", file("100644", "good/f", "x"), file("120000", "passwd", "/etc/passwd"), submodule))
	if tree, err := client.Fetch(t.Context(), r.source("beside.git", "main", "good")); err != nil || len(tree.Files) != 1 {
		t.Errorf("beside: %v, %v", tree.Files, err)
	}
}

// A link to a file of the release is a copy of that file; whatever else a link may
// lead to, it is refused by its name, and nothing outside git's objects is read.
func TestLinksWithinTheReleaseAreCopies(t *testing.T) {
	t.Parallel()
	r, client := newRemote(t, nil), newClient(t, nil)
	r.repo("inside.git", commitTo("main", file("100644", "app/web@.container", "[Container]"), file("100644", "other", "x"),
		file("120000", "app/web@a.container", "web@.container"), file("120000", "app/sub/b.container", ".././web@a.container")))
	tree, err := client.Fetch(t.Context(), r.source("inside.git", "main", "app"))
	if err != nil || len(tree.Files) != 3 || string(tree.Files["web@a.container"]) != "[Container]" || string(tree.Files["sub/b.container"]) != "[Container]" {
		t.Errorf("%q, %v", tree.Files, err)
	}
	r.repo("modes.git", commitTo("main", file("100755", "app/run.sh", "#!/bin/sh"), file("100644", "app/web.container", "[Container]"),
		file("120000", "app/start", "run.sh"), file("120000", "app/copy.container", "web.container")))
	tree, err = client.Fetch(t.Context(), r.source("modes.git", "main", "app"))
	if err != nil || len(tree.Executable) != 2 || !tree.Executable["run.sh"] || !tree.Executable["start"] {
		t.Errorf("executable are %v, %v", tree.Executable, err)
	}
	for i, target := range []string{"../other", "/etc/passwd", "link", "sub", "", "nothing", "sub/../../other", ".git/config", strings.Repeat("x", 5000)} {
		repo := "outside" + string(rune('a'+i)) + ".git"
		r.repo(repo, commitTo("main", file("100644", "app/sub/f", "x"), file("100644", "other", "x"), file("120000", "app/link", target)))
		_, err := client.Fetch(t.Context(), r.source(repo, "main", "app"))
		if !errors.Is(err, leger.ErrInvalid) || !strings.Contains(err.Error(), "link is a symbolic link to ") {
			t.Errorf("%.20q: %v", target, err)
		}
	}
}

// A tree object can be written by hand with any name in it, of a file or a directory.
// Git itself refuses one without a name.
func TestCraftedNamesAreRefused(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	client := newClient(t, nil)
	dir := r.repo("crafted.git", "")
	blob := strings.TrimSpace(string(r.git(dir, []byte("x"), "hash-object", "-w", "--stdin")))
	object := func(raw []byte) string {
		return strings.TrimSpace(string(r.git(dir, raw, "hash-object", "-w", "-t", "tree", "--literally", "--stdin")))
	}
	for _, name := range []string{
		".", "..", "/", "/etc", "./a", "a/.", "a/../b", "a//b", ".git", ".GIT", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\\b", "\xff",
	} {
		for kind, entry := range map[string][]byte{
			"file": tree(t, "100644", name, blob), "directory": tree(t, "40000", name, object(tree(t, "100644", "f", blob))),
		} {
			commit := strings.TrimSpace(string(r.git(dir, nil, "commit-tree", "-m", "x", object(entry))))
			r.git(dir, nil, "update-ref", "refs/heads/main", commit)
			got, err := client.Fetch(t.Context(), r.source("crafted.git", "main", ""))
			if !errors.Is(err, leger.ErrInvalid) || strings.ContainsAny(err.Error(), "\n\x1b") || !utf8.ValidString(err.Error()) {
				t.Errorf("a %s called %q: got %v, %v; want invalid_request in printable characters", kind, name, got.Files, err)
			}
		}
	}
}

// tree is a raw tree object with one entry.
func tree(t *testing.T, mode, name, object string) []byte {
	t.Helper()
	raw := make([]byte, 0, 20)
	for i := 0; i < len(object); i += 2 {
		raw = append(raw, hexDigit(object[i])<<4|hexDigit(object[i+1]))
	}
	return append([]byte(mode+" "+name+"\x00"), raw...)
}

func hexDigit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// Hooks and settings of a local repository are its owner's to run, not ours; and
// what the environment of the user says to git is not heard.
func TestNothingOfTheRepositoryRuns(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	pwned := filepath.Join(t.TempDir(), "pwned")
	script := []byte("#!/bin/sh\ntouch " + pwned + "\n")
	dir := r.repo("app.git", commitTo("main", file("100644", "f", "x"), file("100644", ".gitattributes", "* filter=evil diff=evil\n")))
	hooks := filepath.Join(dir, "hooks")
	if err := os.MkdirAll(hooks, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"post-checkout", "pre-auto-gc", "reference-transaction", "post-index-change", "evil", "fsmonitor-watchman"} {
		if err := os.WriteFile(filepath.Join(hooks, name), script, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	evil := filepath.Join(hooks, "evil")
	for _, kv := range [][2]string{
		{"filter.evil.smudge", evil}, {"core.fsmonitor", evil}, {"uploadpack.packObjectsHook", evil}, {"core.sshCommand", evil}, {"core.pager", evil}, {"diff.external", evil},
	} {
		r.git(dir, nil, "config", kv[0], kv[1])
	}
	client := newClient(t, func(c *gitrepo.Config) {
		c.Env = append(c.Env, "GIT_EXTERNAL_DIFF="+evil, "GIT_SSH="+evil, "GIT_TEMPLATE_DIR="+dir, "GIT_TRACE="+pwned, "GIT_CONFIG_PARAMETERS='core.hooksPath="+hooks+"'")
	})
	for _, src := range []gitrepo.Source{{Dir: dir}, r.source("app.git", "main", "")} {
		if _, err := client.Fetch(t.Context(), src); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(pwned); err == nil {
		t.Error("something of the repository or the environment ran")
	}
}

// Plain http is allowed on this machine only; a redirect must not carry it
// elsewhere, nor to another protocol.
func TestARedirectIsNotFollowedOverPlainHTTP(t *testing.T) {
	t.Parallel()
	target := newRemote(t, nil)
	target.repo("app.git", commitTo("main", file("100644", "f", "x")))
	r := newRemote(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, target.url+req.URL.RequestURI(), http.StatusMovedPermanently)
		})
	})
	if tree, err := newClient(t, nil).Fetch(t.Context(), r.source("app.git", "main", "")); err == nil {
		t.Errorf("followed: %v", tree.Files)
	}
}

// A server can make git print lines of its choice, and its words must reach
// neither the classification nor the terminal.
func TestAServersWordsAreNotBelieved(t *testing.T) {
	t.Parallel()
	r := newRemote(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("repository not found \x1b[2J terminal prompts disabled"))
		})
	})
	_, err := newClient(t, nil).Fetch(t.Context(), r.source("app.git", "main", ""))
	if leger.CodeOf(err) != leger.CodeUnavailable || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("got %v, want unavailable without control characters", err)
	}
}
