package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/cli"
)

// units is a user's systemd that makes a service of every quadlet at a reload, named
// as Podman's generator names it, and knows nothing else.
type units struct {
	dir string // the quadlet directory

	mu      sync.Mutex
	states  map[string]leger.UnitState
	broken  map[string]bool // these do not come up
	onStart func()
	refuse  func(unit string) bool // these do not come up now
}

// begun tells when each unit was last started.
func (u *units) begun() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := map[string]time.Time{}
	for name, s := range u.states {
		all[name] = s.Begun
	}
	return all
}

// state is a unit's. An instance of a template is there as soon as somebody asks.
func (u *units) state(unit string) (s leger.UnitState, known bool) {
	if s, known = u.states[unit]; known {
		return s, true
	}
	template, _, instance := strings.Cut(unit, "@")
	if s, known = u.states[template+"@.service"]; instance && known {
		s.Name = unit
		return s, true
	}
	return leger.UnitState{}, false
}

// suffixes are what the generator adds to the names of the kinds of quadlets.
var suffixes = map[string]string{
	".container": "", ".kube": "", ".pod": "-pod", ".volume": "-volume", ".network": "-network", ".image": "-image", ".build": "-build",
}

func (u *units) Reload(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	made := map[string]leger.UnitState{}
	err := filepath.WalkDir(u.dir, func(path string, _ fs.DirEntry, err error) error {
		ext := filepath.Ext(path)
		if suffix, ok := suffixes[ext]; err == nil && ok {
			name := strings.TrimSuffix(filepath.Base(path), ext) + suffix + ".service"
			s := u.states[name]
			s.Name, s.LoadState, s.Source = name, "loaded", path
			if s.ActiveState == "" {
				s.ActiveState = "inactive"
			}
			made[name] = s
		}
		return nil
	})
	u.states = made
	return err
}

func (u *units) set(unit, active, sub string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.states[unit]
	s.ActiveState, s.SubState, s.Since, s.Begun = active, sub, time.Now(), time.Now()
	u.states[unit] = s
}

func (u *units) Start(ctx context.Context, unit string) error {
	if u.onStart != nil {
		u.onStart()
	}
	if ctx.Err() != nil {
		return leger.Wrap(leger.CodeInterrupted, ctx.Err(), "interrupted")
	}
	u.mu.Lock()
	_, known := u.state(unit)
	broken := u.broken[unit] || (u.refuse != nil && u.refuse(unit))
	u.mu.Unlock()
	switch {
	case !known:
		return leger.Errorf(leger.CodeNotFound, "no unit %s", unit)
	case broken:
		u.set(unit, "failed", "failed")
		return leger.Errorf(leger.CodeUnhealthy, "%s did not start", unit)
	}
	u.set(unit, "active", "running")
	return nil
}

func (u *units) Restart(ctx context.Context, unit string) error { return u.Start(ctx, unit) }

func (u *units) Stop(_ context.Context, names ...string) error {
	for _, unit := range names {
		u.set(unit, "inactive", "dead")
	}
	return nil
}

func (u *units) Hold(context.Context, ...string) error { return nil }

func (u *units) Needs(context.Context, string) ([]string, error) { return nil, nil }

func (u *units) Dependents(context.Context, ...string) (map[string][]string, error) { return nil, nil }

func (u *units) ResetFailed(context.Context, string) error { return nil }

func (u *units) States(_ context.Context, names ...string) ([]leger.UnitState, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []leger.UnitState
	for _, n := range names {
		s, ok := u.state(n)
		if !ok {
			s = leger.UnitState{Name: n, LoadState: "not-found", ActiveState: "inactive"}
		}
		out = append(out, s)
	}
	return out, nil
}

func (u *units) Instances(context.Context, string) ([]string, error) { return nil, nil }

func (u *units) Why(context.Context, string, time.Time, int) ([]string, error) {
	return []string{"web: no such image\x1b[2J"}, nil
}

// host is a rig on which releases are deployed.
type host struct {
	*rig
	home, repo string
	bin        string // first in PATH
	url        string // of the repository, over http
	env        map[string]string
	units      *units
}

func newHost(t *testing.T) *host {
	t.Helper()
	r := newRig(t)
	h := &host{rig: r, home: t.TempDir(), repo: t.TempDir()}
	h.env = r.env(h.home)
	bin := t.TempDir()
	script, err := os.ReadFile(filepath.Join("testdata", "standin", "podman"))
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(bin, "podman"): string(script),
		// Too old for "podman quadlet install": Leger places the files itself.
		filepath.Join(h.home, "podman-version"): "5.2.0\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.bin = bin
	h.env["PATH"] = bin + ":" + os.Getenv("PATH")
	h.units = &units{dir: filepath.Join(h.home, ".config", "containers", "systemd"), states: map[string]leger.UnitState{}, broken: map[string]bool{}}
	h.serveGit()
	h.startLegerd()
	h.leger(0, "auth", "login", "--no-browser")
	return h
}

// standin puts a program first in PATH.
func (h *host) standin(name, script string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.bin, name), []byte(script), 0o700); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) git(args ...string) string {
	h.t.Helper()
	cmd := exec.CommandContext(context.Background(), "git", append([]string{"-C", h.repo, "-c", "user.name=T", "-c", "user.email=t@example.com"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// serveGit serves the repository as git's own program does.
func (h *host) serveGit() {
	h.t.Helper()
	h.git("init", "--quiet", "--initial-branch=main")
	srv := httptest.NewServer(h.backend())
	h.t.Cleanup(srv.Close)
	h.url = srv.URL + "/.git"
}

func (h *host) backend() http.Handler {
	return &cgi.Handler{
		Stderr: io.Discard, // git-http-backend complains of paths that are not there
		Path:   filepath.Join(h.git("--exec-path"), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + h.repo, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
}

// servePrivate serves the repository to whoever has the token.
func (h *host) servePrivate(token string) (url string) {
	h.t.Helper()
	backend := h.backend()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, given, ok := req.BasicAuth(); !ok || given != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	h.t.Cleanup(srv.Close)
	return srv.URL + "/.git"
}

// commit makes the repository hold exactly these files.
func (h *host) commit(files map[string]string) {
	h.t.Helper()
	h.git("rm", "-r", "--quiet", "--force", "--ignore-unmatch", ".")
	for name, text := range files {
		path := filepath.Join(h.repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			h.t.Fatal(err)
		}
		if target, link := strings.CutPrefix(text, "-> "); link {
			if err := os.Symlink(target, path); err != nil {
				h.t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	h.git("add", "--all")
	h.git("commit", "--quiet", "--allow-empty", "-m", "state")
}

// leger runs the command and checks its exit code.
func (h *host) leger(code int, args ...string) said {
	h.t.Helper()
	return h.legerIn(context.Background(), code, "", args...)
}

func (h *host) legerIn(ctx context.Context, code int, stdin string, args ...string) said {
	h.t.Helper()
	s := h.run(ctx, stdin, args...)
	if s.code != code {
		h.t.Fatalf("leger %q ended with %d, want %d:\n%s%s", args, s.code, code, s.stdout, s.stderr)
	}
	return s
}

// run runs the command, in any goroutine.
func (h *host) run(ctx context.Context, stdin string, args ...string) said {
	return h.runOn(ctx, stdin, io.Discard, args...)
}

// runTo is run whose stderr goes to w, too.
func (h *host) runTo(ctx context.Context, w io.Writer, args ...string) said {
	return h.runOn(ctx, "", w, args...)
}

func (h *host) runOn(ctx context.Context, stdin string, w io.Writer, args ...string) said {
	var stdout, stderr bytes.Buffer
	got := cli.MainOn(ctx, cli.Env{
		Args: args, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: io.MultiWriter(&stderr, w), Now: time.Now, Random: rand.Reader, Version: "0.0.0-test",
		LookupEnv:    func(name string) (string, bool) { v, ok := h.env[name]; return v, ok },
		SystemConfig: filepath.Join(h.home, "none"), Executable: filepath.Join(h.bin, "leger"),
	}, h.units)
	s := said{got, stdout.String(), stderr.String()}
	if strings.Contains(s.stdout+s.stderr, canary) {
		h.t.Errorf("leger %q says a secret value", args)
	}
	return s
}

// installed lists what is in the quadlet directory.
func (h *host) installed() []string {
	h.t.Helper()
	var names []string
	err := filepath.WalkDir(h.units.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

const digest = "@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// web is a container that uses a secret and brings no risk.
func web(more string) string {
	return "[Container]\nImage=registry.example/web" + digest + "\nSecret=api_key,type=mount\n" + more + "\n[Install]\nWantedBy=default.target\n"
}

// noSecret is a container like it that gets nothing.
func noSecret(more string) string {
	return strings.Replace(web(more), "Secret=api_key,type=mount\n", "", 1)
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// From nothing to a running container with its secret; again; changed; removed.
func TestDeployJourney(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.commit(map[string]string{"apps/web.container": web(""), "README.md": "# hello"})
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "my-app", "--git-url", h.url, "--git-path", "apps")

	dry := h.leger(0, "deploy", "install", "--release", "my-app", "--dry-run")
	wantIn(t, dry.stderr, "Install my-app, commit", "web.container", "secrets  api_key → /run/secrets/api_key", "--dry-run")
	if got := h.installed(); len(got) > 0 {
		t.Errorf("a dry run installed %v", got)
	}

	// The secret is not here yet: it is synced. It is handed out, which without anybody
	// to ask needs --yes.
	wantIn(t, h.leger(2, "deploy", "install", "--release", "my-app").stderr, "bringing secrets to this machine", "1 thing needs your consent", "web.container:3: web.service gets the secret api_key")
	s := h.leger(0, "deploy", "install", "--release", "my-app", "--yes")
	wantIn(t, s.stderr, "fetching "+h.url, "starting web.service", "my-app is installed: generation 1")
	if got, _ := h.podman.Secret("api_key"); string(got.Value) != canary {
		t.Error("Podman does not have the secret")
	}
	if got := h.installed(); !slices.Equal(got, []string{"web.container"}) {
		t.Errorf("installed: %v", got)
	}

	again := h.leger(0, "deploy", "install", "--release", "my-app", "--json")
	wantIn(t, again.stderr, "Nothing to do: my-app is up to date")
	var out struct{ Unchanged bool }
	if err := json.Unmarshal([]byte(again.stdout), &out); err != nil || !out.Unchanged {
		t.Errorf("--json: %v\n%s", err, again.stdout)
	}
	wantIn(t, h.leger(0, "deploy", "list").stdout, "my-app", "healthy", h.git("rev-parse", "--short=12", "HEAD"))
	wantIn(t, h.leger(0, "deploy", "status", "MY-APP").stdout, "web.service", "active (running)")
	wantIn(t, h.leger(0, "status").stdout, "deployed", "my-app, generation 1, healthy")

	h.commit(map[string]string{"apps/web.container": web("PublishPort=127.0.0.1:8080:80"), "apps/job.container": web("")})
	wantIn(t, h.leger(0, "deploy", "install", "--release", "my-app", "--yes").stderr,
		"Change generation 1 of my-app", "change  web.container", "add     job.container", "port    + 127.0.0.1:8080:80 of web.service",
		"+PublishPort=127.0.0.1:8080:80", "generation 2")

	if err := os.Remove(filepath.Join(h.units.dir, "my-app.leger", "job.container")); err != nil {
		t.Fatal(err)
	}
	drift := h.leger(7, "deploy", "status", "my-app")
	wantIn(t, drift.stderr, "job.container is not there any more", "hint: leger deploy install --release my-app repairs it")
	h.leger(0, "deploy", "install", "--release", "my-app")
	h.leger(0, "deploy", "status")

	h.leger(2, "deploy", "remove", "my-app") // nobody to ask
	wantIn(t, h.leger(0, "deploy", "remove", "my-app", "--yes").stderr, "my-app is removed: 2 units, 2 files")
	if got := h.installed(); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
	h.leger(3, "deploy", "remove", "my-app", "--yes")
	wantIn(t, h.leger(0, "deploy", "list").stderr, "Nothing is installed")
}

// Nothing of this changes anything, and each says its own.
func TestDeployIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.leger(0, "releases", "create", "gone", "--git-url", strings.Replace(h.url, "/.git", "/no/such", 1))
	install := []string{"deploy", "install", "--release", "app"}

	h.commit(map[string]string{"web.container": web("")})
	s := h.leger(3, install...)
	wantIn(t, s.stderr, "the secret api_key is not on this machine", "create it at "+h.api.URL+"/api-keys?new=api_key or with leger secrets set api_key", "hint: create what is missing")
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")

	h.leger(2, "deploy", "install")
	h.leger(2, "deploy", "install", "--release", "-x")
	h.leger(2, "deploy", "install", "--release", "app", "--git-branch", "v1")
	h.leger(2, append(install, "--commit", "abc")...)
	h.leger(2, append(install, "--source", "ext::sh -c id")...)
	h.leger(2, append(install, "--source=--upload-pack=id")...)
	h.leger(3, "deploy", "install", "--release", "other")
	h.leger(3, "deploy", "install", "--release", "gone")
	h.leger(3, "deploy", "status", "app")

	h.commit(map[string]string{"README.md": "nothing to run"})
	wantIn(t, h.leger(2, install...).stderr, "quadlet")
	h.commit(map[string]string{"web.container": web(""), "passwd": "-> /etc/passwd"})
	wantIn(t, h.leger(2, install...).stderr, "passwd", "link")
	h.commit(map[string]string{"web.container": web("Imagge=x")})
	wantIn(t, h.leger(2, install...).stderr, "web.container:4", "Imagge")

	// A risk, and nobody to ask.
	h.commit(map[string]string{"web.container": web("PodmanArgs=--privileged")})
	s = h.leger(2, install...)
	wantIn(t, s.stderr, "2 things need your consent", "web.container:4", "hint: read them, and if they are meant add --yes")
	wantIn(t, h.leger(2, append(install, "--quiet")...).stderr, "2 things need your consent")
	if got := h.installed(); len(got) > 0 {
		t.Errorf("installed all the same: %v", got)
	}
	h.leger(0, append(install, "--yes")...)

	// Podman too old, and absent.
	h.podman.SetVersion("4.3.1")
	wantIn(t, h.leger(6, install...).stderr, "Podman 4.3.1 is too old")
	h.podman.SetVersion("5.8.6")
}

func TestAUnitThatDoesNotComeUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	h.units.broken["web.service"] = true
	s := h.leger(7, "deploy", "install", "--release", "app", "--yes")
	wantIn(t, s.stderr, "it says: web: no such image", "leger: web.service did not come up", "its files were removed again")
	if strings.Contains(s.stderr, "\x1b[2J") {
		t.Error("the journal steers the terminal")
	}
	if got := h.installed(); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
	h.units.broken["web.service"] = false
	h.leger(0, "deploy", "install", "--release", "app")
}

func TestCtrlCInTheMiddleOfAnInstall(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	ctx, cancel := context.WithCancel(t.Context())
	h.units.onStart = cancel
	s := h.legerIn(ctx, 130, "", "deploy", "install", "--release", "app", "--yes")
	wantIn(t, s.stderr, "leger: the deployment was interrupted", "hint: run the same again")
	wantIn(t, h.leger(0, "deploy", "list").stdout, "interrupted")
	h.units.onStart = nil
	h.leger(0, "deploy", "install", "--release", "app")
	wantIn(t, h.leger(0, "deploy", "list").stdout, "healthy")
}

// A directory that is no repository, without a server and without a sign-in.
func TestInstallFromADirectory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "web.container"), []byte("[Container]\nImage=registry.example/web"+digest+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.leger(0, "auth", "logout")
	h.down.Store(true)
	wantIn(t, h.leger(0, "deploy", "install", "--release", "mine", "--source", dir).stderr, "reading the files in "+dir+" as they are", "mine is installed")
	wantIn(t, h.leger(0, "deploy", "status", "mine").stdout, "web.service")
}

// Without a session of systemd: the code for a missing part.
func TestDeployWithoutSystemd(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	s := r.runIn(t.Context(), home, strings.NewReader(""), "deploy", "list")
	if s.code != 6 || !strings.Contains(s.stderr, "session bus is not there") {
		t.Errorf("code %d: %s", s.code, s.stderr)
	}
}
