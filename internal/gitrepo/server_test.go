package gitrepo_test

import (
	"bytes"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/gitrepo"
	"leger.run/leger/internal/run"
)

// remote is a directory of real repositories behind real HTTP.
type remote struct {
	t    *testing.T
	root string
	url  string
	run  *run.Runner
	// backend answers as git's own program does.
	backend http.Handler
}

// newRemote serves repositories with git http-backend; wrap may stand in front.
func newRemote(t *testing.T, wrap func(http.Handler) http.Handler) *remote {
	t.Helper()
	r := &remote{t: t, root: t.TempDir(), run: run.New(run.Config{})}
	backend := filepath.Join(strings.TrimSpace(string(r.git(r.root, nil, "--exec-path"))), "git-http-backend")
	var handler http.Handler = &cgi.Handler{
		Path: backend, Stderr: &bytes.Buffer{},
		Env: []string{
			"GIT_PROJECT_ROOT=" + r.root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
			// The tests may run as another user than the one who owns the directory.
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
		InheritEnv: []string{"PATH"},
	}
	r.backend = handler
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *remote) git(dir string, stdin []byte, args ...string) []byte {
	r.t.Helper()
	res, err := r.run.Run(r.t.Context(), run.Command{
		Path: "git", Args: args, Dir: dir, Stdin: bytes.NewReader(stdin), MaxOutput: 64 << 20,
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + r.root, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
			"GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
		},
	})
	if err != nil || res.Code != 0 {
		r.t.Fatalf("git %s: %v\n%s", args[0], err, res.Stderr)
	}
	return res.Stdout
}

// repo makes a bare repository from a stream for git fast-import.
func (r *remote) repo(name, stream string) (dir string) {
	r.t.Helper()
	dir = filepath.Join(r.root, name)
	r.git(r.root, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", dir)
	if stream != "" {
		r.git(dir, []byte(stream), "fast-import", "--quiet")
	}
	return dir
}

func (r *remote) commit(dir, ref string) string {
	r.t.Helper()
	return strings.TrimSpace(string(r.git(dir, nil, "rev-parse", ref)))
}

func (r *remote) source(path, ref, sub string) gitrepo.Source {
	r.t.Helper()
	u, err := leger.ParseGitURL(r.url + "/" + path)
	if err != nil {
		r.t.Fatal(err)
	}
	g, err := leger.ParseGitRef(ref)
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := leger.ParseGitPath(sub)
	if err != nil {
		r.t.Fatal(err)
	}
	return gitrepo.Source{URL: u, Ref: g, Path: p}
}

// file is one "M" line of a fast-import stream with its content.
func file(mode, name, content string) string {
	return "M " + mode + " inline " + name + "\ndata " + itoa(len(content)) + "\n" + content + "\n"
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// commitTo is a commit on a branch. The parts follow.
func commitTo(branch string, parts ...string) string {
	return "commit refs/heads/" + branch + "\ncommitter a <a@example.com> 1767225600 +0000\ndata 1\nx\n" + strings.Join(parts, "") + "\n"
}

// newClient gives a client with its own directory for clones, which must be
// empty when the test ends.
func newClient(t *testing.T, change func(*gitrepo.Config)) *gitrepo.Client {
	t.Helper()
	temp := t.TempDir()
	cfg := gitrepo.Config{
		Runner:  run.New(run.Config{Grace: time.Second}),
		Env:     []string{"PATH=" + os.Getenv("PATH"), "HOME=" + temp},
		TempDir: temp,
	}
	if change != nil {
		change(&cfg)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(temp)
		if err != nil || len(left) != 0 {
			t.Errorf("clones are left behind: %v, %v", left, err)
		}
	})
	return gitrepo.New(cfg)
}
