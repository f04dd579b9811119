package gitrepo_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/gitrepo"
	"leger.run/leger/internal/run"
)

func TestFetchGivesTheFilesBelowThePath(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	dir := r.repo("app.git", commitTo(
		"main", file("100644", "README", "top"),
		file("100644", "deploy/web.container", "[Container]\n"), file("100755", "deploy/conf/run.sh", "#!/bin/sh\n"), file("100644", "deploy/empty", ""),
	))
	tree, err := newClient(t, nil).Fetch(t.Context(), r.source("app.git", "main", "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	want := gitrepo.Tree{Commit: r.commit(dir, "main"), Ref: "refs/heads/main", Files: map[string][]byte{
		"web.container": []byte("[Container]\n"), "conf/run.sh": []byte("#!/bin/sh\n"), "empty": {},
	}, Executable: map[string]bool{"conf/run.sh": true}}
	if diff := cmp.Diff(want, tree); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestABranchATagAndACommitAreFound(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	dir := r.repo("app.git", commitTo("main", file("100644", "f", "one"))+commitTo("main", file("100644", "f", "two"))+
		"tag v1\nfrom refs/heads/main\ntagger a <a@example.com> 1767225600 +0000\ndata 1\nx\n"+
		commitTo("main", file("100644", "f", "three"))+commitTo("feature/x", file("100644", "f", "feature")))
	client := newClient(t, nil)
	for ref, want := range map[string]string{"main": "three", "v1": "two", "feature/x": "feature"} {
		src := r.source("app.git", ref, "")
		tree, err := client.Fetch(t.Context(), src)
		if err != nil || string(tree.Files["f"]) != want || tree.Commit != r.commit(dir, ref+"^{commit}") {
			t.Errorf("%s: got %q at %s, %v; want %q", ref, tree.Files["f"], tree.Commit, err, want)
		}
		if head, err := client.Head(t.Context(), src); err != nil || head != tree.Commit {
			t.Errorf("%s: head %s, %v; want %s", ref, head, err, tree.Commit)
		}
	}
	src := r.source("app.git", "main", "")
	src.Commit = r.commit(dir, "main~2")
	if tree, err := client.Fetch(t.Context(), src); err != nil || string(tree.Files["f"]) != "one" || tree.Commit != src.Commit {
		t.Errorf("commit: got %q at %s, %v", tree.Files["f"], tree.Commit, err)
	}
}

// Servers before protocol version 2 do not hand out what no ref points at.
func TestACommitIsFoundOnServersThatGiveOnlyBranches(t *testing.T) {
	t.Parallel()
	r := newRemote(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req.Header.Del("Git-Protocol")
			next.ServeHTTP(w, req)
		})
	})
	dir := r.repo("app.git", commitTo("main", file("100644", "f", "one"))+commitTo("main", file("100644", "f", "two")))
	src := r.source("app.git", "main", "")
	src.Commit = r.commit(dir, "main~1")
	client := newClient(t, nil)
	if tree, err := client.Fetch(t.Context(), src); err != nil || string(tree.Files["f"]) != "one" {
		t.Errorf("got %q, %v", tree.Files["f"], err)
	}
	src.Commit = strings.Repeat("0", 40)
	_, err := client.Fetch(t.Context(), src)
	wantError(t, "absent commit", err, leger.CodeNotFound, "commit", "check the hash")
}

func TestALocalRepository(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	dir := r.repo("a b%41.git", commitTo("main", file("100644", "f", "one")))
	client := newClient(t, nil)
	tree, err := client.Fetch(t.Context(), gitrepo.Source{Dir: dir})
	if err != nil || string(tree.Files["f"]) != "one" || tree.Ref != "HEAD" {
		t.Errorf("got %+v, %v", tree, err)
	}
	_, err = client.Fetch(t.Context(), gitrepo.Source{Dir: t.TempDir()})
	wantError(t, "no repository", err, leger.CodeNotFound, "git_url", ".git")
	if !strings.Contains(err.Error(), "is not the top directory of a Git repository") {
		t.Errorf("a directory without one: %v", err)
	}
}

// wantError holds an error against its code, its field and a part of its hint.
func wantError(t *testing.T, what string, err error, code leger.Code, field, hint string) {
	t.Helper()
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || !strings.Contains(e.Hint, hint) {
		t.Errorf("%s: got %v (%+v), want code %s, field %q, a hint on %q", what, err, e, code, field, hint)
	}
}

func TestEachTroubleHasItsOwnError(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	r.repo("app.git", commitTo("main", file("100644", "deploy/f", "x"), file("100644", "top", "x"))+commitTo("dev", file("100644", "f", "x")))
	r.repo("empty.git", "")
	gone := newRemote(t, nil)
	gone.url = "http://127.0.0.1:1" // nothing listens on tcpmux
	nowhere := newRemote(t, nil)
	nowhere.url = "http://no-such-host.ts.net"
	client := newClient(t, nil)
	for _, c := range []struct {
		name  string
		src   gitrepo.Source
		code  leger.Code
		field string
		hint  string
	}{
		{"no repository", r.source("none.git", "main", ""), leger.CodeNotFound, "git_url", "check the URL"},
		{"no branch", r.source("app.git", "mian", ""), leger.CodeNotFound, "git_branch", "its branches are: dev, main"},
		{"empty", r.source("empty.git", "main", ""), leger.CodeNotFound, "git_branch", "no branch at all"},
		{"no directory", r.source("app.git", "main", "deplyo"), leger.CodeNotFound, "git_path", "its top directories are: deploy"},
		{"not a directory", r.source("app.git", "main", "top"), leger.CodeNotFound, "git_path", "deploy"},
		{"nobody listens", gone.source("x.git", "main", ""), leger.CodeUnreachable, "git_url", "try again"},
		{"no such host", nowhere.source("x.git", "main", ""), leger.CodeUnreachable, "git_url", "check the URL"},
	} {
		_, err := client.Fetch(t.Context(), c.src)
		wantError(t, c.name, err, c.code, c.field, c.hint)
	}
	_, err := gitrepo.New(gitrepo.Config{Runner: run.New(run.Config{Path: "/none"}), TempDir: t.TempDir()}).Fetch(t.Context(), r.source("app.git", "main", ""))
	wantError(t, "no git", err, leger.CodeMissingPart, "", "install the package git")
}

const password = "hunter2-c4n4ry"

// private asks for a password at the door.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, given, ok := req.BasicAuth(); !ok || user != "me" || given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, req)
	})
}

func TestAPrivateRepository(t *testing.T) {
	t.Parallel()
	r := newRemote(t, private)
	r.repo("app.git", commitTo("main", file("100644", "f", "x")))
	home := t.TempDir()
	helper := "!f() { echo username=me; echo \"password=" + password + "\"; }; f"
	config := "[credential \"" + r.url + "\"]\n\thelper = \"" + strings.NewReplacer(`"`, `\"`).Replace(helper) + "\"\n" +
		"[core]\n\thooksPath = /tmp\n[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = " + r.url + "/\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	inHome := func(ask bool) func(*gitrepo.Config) {
		return func(cfg *gitrepo.Config) {
			cfg.UserSettings = ask
			cfg.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false"}
		}
	}
	_, err := newClient(t, inHome(false)).Fetch(t.Context(), r.source("app.git", "main", ""))
	wantError(t, "not asked for", err, leger.CodeForbidden, "git_url", "git credentials")

	// On request the helper is used, and nothing else of the user's configuration.
	tree, err := newClient(t, inHome(true)).Fetch(t.Context(), r.source("app.git", "main", ""))
	if err != nil || string(tree.Files["f"]) != "x" {
		t.Errorf("with the user's helper: %v", err)
	}
	other := newRemote(t, func(http.Handler) http.Handler {
		return private(http.NotFoundHandler())
	})
	_, err = newClient(t, inHome(true)).Fetch(t.Context(), other.source("app.git", "main", ""))
	if err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func TestTimeAndInterruption(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	r := newRemote(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			asked <- struct{}{}
			<-req.Context().Done() // never answers
		})
	})
	src := r.source("app.git", "main", "")
	_, err := newClient(t, func(c *gitrepo.Config) { c.Timeout = 200 * time.Millisecond }).Fetch(t.Context(), src)
	wantError(t, "timeout", err, leger.CodeUnavailable, "", "more time")
	select { // on a busy machine the time is over before git has asked
	case <-asked:
	default:
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := newClient(t, nil).Fetch(ctx, src); !errors.Is(err, leger.ErrInterrupted) {
		t.Errorf("err = %v, want interrupted", err)
	}
}

func TestLimitsOfWhatIsExported(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	r.repo("app.git", commitTo("main", file("100644", "d/a", strings.Repeat("a", 600)), file("100644", "d/b", strings.Repeat("b", 600)), file("100644", "d/c", "c")))
	for name, change := range map[string]func(*gitrepo.Config){
		"files": func(c *gitrepo.Config) { c.MaxFiles = 2 }, "one file": func(c *gitrepo.Config) { c.MaxFileSize = 599 },
		"total": func(c *gitrepo.Config) { c.MaxTotalSize = 1200 },
	} {
		_, err := newClient(t, change).Fetch(t.Context(), r.source("app.git", "main", "d"))
		wantError(t, name, err, leger.CodeTooLarge, "", "directory that holds the quadlets")
	}
	exact := func(c *gitrepo.Config) { c.MaxFiles, c.MaxFileSize, c.MaxTotalSize = 3, 600, 1201 }
	if _, err := newClient(t, exact).Fetch(t.Context(), r.source("app.git", "main", "d")); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

// noise gives bytes that do not compress.
func noise(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252) // xorshift64, Marsaglia 2003
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return string(b)
}

// The server sends more than the limit and then nothing, without closing: only a
// check while git runs can end this.
func TestAHugeRepositoryIsStoppedWhileItComes(t *testing.T) {
	t.Parallel()
	r := newRemote(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/git-upload-pack") {
				w = &stalling{ResponseWriter: w, left: 3 << 20, gone: req.Context().Done()}
			}
			next.ServeHTTP(w, req)
		})
	})
	r.repo("huge.git", commitTo("main", file("100644", "f", noise(8<<20))))
	client := newClient(t, func(c *gitrepo.Config) { c.MaxClone = 1 << 20 })
	_, err := client.Fetch(t.Context(), r.source("huge.git", "main", ""))
	wantError(t, "huge", err, leger.CodeTooLarge, "", "repository of their own")
	if err != nil && !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("the limit is not named: %v", err)
	}
}

// stalling passes on some bytes and then waits for the client to go away.
type stalling struct {
	http.ResponseWriter
	left int
	gone <-chan struct{}
}

func (s *stalling) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		s.Flush()
		<-s.gone
	}
	return s.ResponseWriter.Write(b)
}

func (s *stalling) Flush() {
	if f, ok := s.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

func TestHeadOfManyBranchesIsCheap(t *testing.T) {
	t.Parallel()
	r := newRemote(t, nil)
	var b strings.Builder
	for i := range 20 {
		b.WriteString(commitTo("b"+strconv.Itoa(i), file("100644", "f", "x")))
	}
	r.repo("app.git", b.String())
	_, err := newClient(t, nil).Head(t.Context(), r.source("app.git", "none", ""))
	wantError(t, "many branches", err, leger.CodeNotFound, "git_branch", ", …")
}
