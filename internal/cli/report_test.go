package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/cli"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/wire"
)

// hosts asks the server for the machines of who is signed in at home, with all that
// they reported.
func (r *rig) hosts(home string) []wire.Host {
	r.t.Helper()
	c, err := client.New(client.Config{Server: r.api.URL, Token: strings.TrimSpace(r.must(home, "", "auth", "token").stdout)})
	if err != nil {
		r.t.Fatal(err)
	}
	list, err := c.Hosts(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	all := make([]wire.Host, len(list))
	for i, h := range list {
		if all[i], err = c.Host(context.Background(), h.DeviceID); err != nil {
			r.t.Fatal(err)
		}
	}
	return all
}

// host is the only machine.
func (r *rig) host(home string) wire.Host {
	r.t.Helper()
	list := r.hosts(home)
	if len(list) != 1 {
		r.t.Fatalf("%d machines, want 1: %+v", len(list), list)
	}
	return list[0]
}

// holds gives a machine's secrets as "name version".
func holds(h wire.Host) []string {
	out := []string{}
	for _, s := range h.Secrets {
		out = append(out, fmt.Sprint(s.Name, " ", s.Version))
	}
	return out
}

// refuseReports lets the server answer reports with 503, or take them again.
func (r *rig) refuseReports(refuse bool) {
	api := *r.handler.Load()
	if wrapped, ok := api.(withoutReports); ok {
		api = wrapped.Handler
	}
	if refuse {
		api = withoutReports{api}
	}
	r.handler.Store(&api)
}

type withoutReports struct{ http.Handler }

func (h withoutReports) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		h.Handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"success":false,"error":{"code":"unavailable","message":"no room for reports"}}`))
}

// on runs leger on a machine of that name, with someMachineID, by a clock that is ahead.
func (r *rig) on(home, name string, ahead time.Duration, args ...string) {
	r.t.Helper()
	file := filepath.Join(home, "machine-id")
	if err := errors.Join(os.MkdirAll(home, 0o700), os.WriteFile(file, []byte(someMachineID), 0o600)); err != nil {
		r.t.Fatal(err)
	}
	env := r.env(home)
	var stdout, stderr bytes.Buffer
	code := cli.Main(r.t.Context(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Random: rand.Reader, Version: "0.0.0-test",
		Now:          func() time.Time { return time.Now().Add(ahead) },
		LookupEnv:    func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		SystemConfig: filepath.Join(home, "none"), MachineID: file,
		Hostname: func() (string, error) { return name, nil },
	})
	if code != 0 {
		r.t.Fatalf("leger %q ended with %d: %s", args, code, &stderr)
	}
}

const someMachineID = "0123456789abcdef0123456789abcdef\n"

// The server knows which machine holds which version, and nothing of a dry run.
func TestASyncIsReported(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.startLegerd()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, canary, "secrets", "set", "b")
	r.must(home, canary, "secrets", "set", "a")
	r.must(home, "", "secrets", "sync", "--dry-run")
	if list := r.hosts(home); len(list) != 0 {
		t.Fatalf("a dry run was reported: %+v", list)
	}
	before := time.Now().Add(-time.Second)
	r.on(home, "box-1", 0, "secrets", "sync")
	h := r.host(home)
	if got := holds(h); !slices.Equal(got, []string{"a 1", "b 1"}) {
		t.Errorf("it holds %q", got)
	}
	if !leger.ValidID(h.DeviceID) || h.Name != "box-1" || h.CLIVersion != "0.0.0-test" || h.LegerdVersion != "0.0.0-test" || h.PodmanVersion == "" {
		t.Errorf("the machine is %+v", h)
	}
	if h.LastSeen.Before(before) || h.Secrets[0].SyncedAt.Before(before) || len(h.Deployments) != 0 {
		t.Errorf("seen %s, synced %s, deployments %v", h.LastSeen, h.Secrets[0].SyncedAt, h.Deployments)
	}

	r.must(home, canary+"2", "secrets", "set", "a")
	r.must(home, "", "secrets", "delete", "b", "--yes")
	r.on(home, "renamed", 0, "secrets", "sync")
	h = r.host(home)
	if got := holds(h); !slices.Equal(got, []string{"a 2"}) || h.Name != "renamed" {
		t.Errorf("%s holds %q", h.Name, got)
	}
}

// A machine on which nothing changes says so once in ten minutes.
func TestAMachineThatOnlyLivesReportsNowAndThen(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.startLegerd()
	r.must(home, "", "auth", "login", "--no-browser")
	sync := func(ahead time.Duration, want int64, why string) {
		t.Helper()
		before := r.requests.Load()
		r.ahead.Store(int64(ahead)) // the clocks agree
		r.on(home, "box-1", ahead, "secrets", "sync")
		if n := r.requests.Load() - before; n != want {
			t.Errorf("%s: %d requests, want %d", why, n, want)
		}
	}
	sync(0, 2, "the first, which finds nothing")
	sync(9*time.Minute, 1, "nine minutes later")
	sync(11*time.Minute, 2, "eleven minutes later")
	sync(12*time.Minute, 1, "a minute after that")
	sync(0, 2, "when the clock was put back")
	sync(time.Minute, 1, "a minute after that")
	r.must(home, canary, "secrets", "set", "key")
	sync(2*time.Minute, 2, "after a change")
	if err := os.WriteFile(filepath.Join(home, ".local", "state", "leger", "report.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	sync(2*time.Minute, 2, "with a damaged memory")
	b, err := os.ReadFile(filepath.Join(home, ".local", "state", "leger", "report.json"))
	if err != nil || strings.Contains(string(b), `"key"`) || !json.Valid(b) {
		t.Errorf("report.json: %s (%v)", b, err)
	}
}

// A report is for the web pages: without it the secrets are in place all the same.
func TestAReportThatFailsFailsNothing(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.startLegerd()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, canary, "secrets", "set", "key")
	r.refuseReports(true)
	s := r.must(home, "", "secrets", "sync", "--json", "--quiet")
	wantIn(t, s.stderr, "warning: the server was not told how this machine is: no room for reports")
	var out struct {
		Error       *struct{ Code string }
		ReportError *struct{ Code, Message string } `json:"report_error"`
	}
	if err := json.Unmarshal([]byte(s.stdout), &out); err != nil || out.Error != nil || out.ReportError == nil || out.ReportError.Code != "unavailable" {
		t.Errorf("--json (%v): %s", err, s.stdout)
	}
	if got, _ := r.podman.Secret("key"); string(got.Value) != canary {
		t.Error("the secret is not in place")
	}
	r.refuseReports(false)
	// Nothing changed since, but the server does not know yet.
	s = r.must(home, "", "secrets", "sync", "--json")
	if strings.Contains(s.stdout, "report_error") || strings.Contains(s.stderr, "warning") {
		t.Errorf("said %s %s", s.stdout, s.stderr)
	}
	if got := holds(r.host(home)); !slices.Equal(got, []string{"key 1"}) {
		t.Errorf("it holds %q", got)
	}
}

// A sync that did half of its work is reported as far as it came.
func TestAPartialSyncIsReportedAsItIs(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.startLegerd()
	r.must(home, "", "auth", "login", "--no-browser")
	for _, name := range []string{"one", "two"} {
		r.must(home, canary, "secrets", "set", name)
	}
	r.podman.Put("one", "theirs", nil)
	if s := r.runIn(t.Context(), home, strings.NewReader(""), "secrets", "sync"); s.code != 5 {
		t.Fatalf("code %d: %s", s.code, s.stderr)
	}
	if got := holds(r.host(home)); !slices.Equal(got, []string{"one 1", "two 1"}) { // legerd holds both
		t.Errorf("it holds %q", got)
	}
}

// Two Unix users of one machine have a key each, and neither overwrites what the other
// reported.
func TestTwoUsersOfOneMachineReportApart(t *testing.T) {
	t.Parallel()
	r, first, second := newRig(t), t.TempDir(), t.TempDir()
	r.startLegerd()
	for _, home := range []string{first, second} {
		r.must(home, "", "auth", "login", "--no-browser")
		r.on(home, "box", 0, "secrets", "sync")
		r.on(home, "box", 0, "secrets", "sync")
	}
	list := r.hosts(first)
	if len(list) != 2 || list[0].DeviceID == list[1].DeviceID || list[0].Name != "box" || list[1].Name != "box" {
		t.Errorf("machines: %+v", list)
	}
	wantIn(t, r.must(first, "", "machines", "list").stdout, "this one")
}

// A name that could deceive who reads it is not shown: the id stands for it.
func TestAHostNameThatCannotBeShown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "box\x1b[31m", "\xff", strings.Repeat("x", leger.MaxHostName+1)} {
		r, home := newRig(t), t.TempDir()
		r.startLegerd()
		r.must(home, "", "auth", "login", "--no-browser")
		r.on(home, name, 0, "secrets", "sync")
		if h := r.host(home); h.Name != h.DeviceID {
			t.Errorf("%q is called %q", name, h.Name)
		}
	}
}

// What is installed, its commit and units, then nothing any more.
func TestDeploymentsAreReported(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	h.leger(0, "deploy", "install", "--release", "app", "--dry-run")
	if list := h.hosts(h.home); len(list) != 0 {
		t.Fatalf("a dry run was reported: %+v", list)
	}
	h.leger(0, "deploy", "install", "--release", "app", "--yes")
	got := h.host(h.home)
	if held := holds(got); !slices.Equal(held, []string{"api_key 1"}) {
		t.Errorf("the sync on the way was not reported: %q", held)
	}
	if len(got.Deployments) != 1 {
		t.Fatalf("deployments: %+v", got.Deployments)
	}
	d := got.Deployments[0]
	units := []wire.HostUnit{{Name: "web.service", State: leger.HostActive}}
	if d.Release.String() != "app" || d.Version != 1 || d.Commit != h.git("rev-parse", "HEAD") || d.State != leger.HostActive || !slices.Equal(d.Units, units) {
		t.Errorf("deployment: %+v", d)
	}

	// The next one fails and the former comes back; the machine's report says how it is.
	h.commit(map[string]string{"web.container": web("PublishPort=127.0.0.1:8080:80")})
	h.units.broken["web.service"] = true
	h.leger(7, "deploy", "install", "--release", "app")
	d = h.host(h.home).Deployments[0]
	if d.State != leger.HostFailed || d.Units[0].State != leger.HostFailed {
		t.Errorf("after a failure: %+v", d)
	}
	h.units.broken["web.service"] = false
	h.leger(0, "deploy", "install", "--release", "app")
	if d = h.host(h.home).Deployments[0]; d.State != leger.HostActive || d.Commit != h.git("rev-parse", "HEAD") {
		t.Errorf("after that: %+v", d)
	}

	h.leger(0, "deploy", "remove", "app", "--yes")
	if got = h.host(h.home); len(got.Deployments) != 0 || len(got.Secrets) != 1 {
		t.Errorf("after the removal: %+v", got)
	}
}

func TestADeploymentWhoseReportFails(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	h.refuseReports(true)
	warning := "warning: the server was not told how this machine is: no room for reports"
	failed := `"report_error": {`
	s := h.leger(0, "deploy", "install", "--release", "app", "--yes", "--json")
	wantIn(t, s.stderr, warning)
	wantIn(t, s.stdout, failed)
	wantIn(t, h.leger(0, "deploy", "install", "--release", "app", "--json").stdout, `"unchanged": true`, failed)
	h.refuseReports(false)
	if s = h.leger(0, "deploy", "install", "--release", "app", "--json"); strings.Contains(s.stdout, "report_error") {
		t.Errorf("it was not reported again: %s", s.stdout)
	}
	if n := len(h.host(h.home).Deployments); n != 1 {
		t.Errorf("%d deployments are known", n)
	}
	h.refuseReports(true)
	wantIn(t, h.leger(0, "deploy", "remove", "app", "--yes", "--json").stdout, `"release": "app"`, failed)
}

// Files that are in no repository, and a user who is signed in nowhere.
func TestADeploymentOfADirectoryIsReportedWithoutACommit(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "web.container"), []byte("[Container]\nImage=registry.example/web"+digest+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	install := []string{"deploy", "install", "--release", "mine", "--source", dir}
	h.leger(0, install...)
	d := h.host(h.home).Deployments[0]
	if d.Release.String() != "mine" || d.Version != 0 || d.Commit != "" {
		t.Errorf("deployment: %+v", d)
	}
	h.leger(0, "auth", "logout")
	for _, args := range [][]string{install, {"deploy", "remove", "mine", "--yes"}} {
		if s := h.leger(0, args...); strings.Contains(s.stderr, "was not told") {
			t.Errorf("signed out, leger %q says: %s", args, s.stderr)
		}
	}
}
