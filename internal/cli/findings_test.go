package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/report/reporttest"
)

// An edited file, an unhealthy container, an older secret and a branch that moved
// on, as the server has them after deploy status; then nothing of it.
func TestStatusIsReported(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	h.leger(0, "deploy", "install", "--release", "app", "--yes", "--settle", "10ms")
	d := h.host(h.home).Deployments[0]
	if d.Health != leger.HealthGood || d.Generation != 1 || len(d.Findings) != 0 || d.ReportedAt.IsZero() {
		t.Fatalf("after the installation: %+v", d)
	}
	file := filepath.Join(h.units.dir, "app.leger", "web.container")
	if err := os.WriteFile(file, []byte("[Container]\nImage=registry.example/other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.podman.Run("web", "web.service", "unhealthy")
	h.legerIn(t.Context(), 0, canary+"2", "secrets", "set", "api_key")
	h.leger(0, "secrets", "sync")
	h.commit(map[string]string{"web.container": web("PublishPort=127.0.0.1:8080:80")})
	h.leger(7, "deploy", "status", "app")
	d = h.host(h.home).Deployments[0]
	want := []string{
		"unit_unhealthy: web.service is unhealthy: its health check says so",
		"file_changed: web.container was changed since it was installed",
		"secret_stale: web.service runs with an older value of the secret api_key: leger service restart web.service",
		"branch_moved:  the branch has moved on to commit " + h.git("rev-parse", "HEAD")[:12] + ": leger deploy update app",
	}
	if got := reporttest.Findings(d.Findings); d.Health != leger.HealthPoor || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s, findings %q\nwant %q", d.Health, got, want)
	}

	// Looking again changes nothing, and is no request.
	before := h.requests.Load()
	h.leger(7, "deploy", "status")
	if n := h.requests.Load() - before; n > 1 { // one asks for the release
		t.Errorf("%d requests of a status that finds nothing new", n)
	}
	h.podman.Rm("web")
	h.leger(0, "deploy", "update", "app", "--yes", "--settle", "10ms")
	if d = h.host(h.home).Deployments[0]; d.Health != leger.HealthGood || d.Generation != 2 || len(d.Findings) != 0 {
		t.Errorf("after the update: %+v", d)
	}
	h.leger(0, "deploy", "rollback", "app", "--settle", "10ms")
	h.leger(0, "deploy", "status")
	want = []string{"branch_moved:  the branch has moved on to commit " + h.git("rev-parse", "HEAD")[:12] + ", from which you went back"}
	if got := reporttest.Findings(h.host(h.home).Deployments[0].Findings); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("after going back: %q\nwant %q", got, want)
	}
}

// A run of the timer reports once, after all its updates, and says what waits.
func TestAutoIsReported(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.standin("systemctl", "#!/bin/sh\n")
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	h.leger(0, "deploy", "install", "--release", "app", "--yes", "--settle", "10ms")
	h.leger(0, "deploy", "auto", "on", "app")
	h.commit(map[string]string{"web.container": web("Environment=A=b")})
	h.leger(0, "deploy", "auto", "run", "--settle", "10ms")
	d := h.host(h.home).Deployments[0]
	if d.Generation != 2 || d.Commit != h.git("rev-parse", "HEAD") || d.Health != leger.HealthGood || len(d.Findings) != 0 {
		t.Errorf("after an update: %+v", d)
	}
	h.commit(map[string]string{"web.container": web("PodmanArgs=--log-level=info")}) // a new risk
	h.leger(5, "deploy", "auto", "run", "--settle", "10ms")
	want := "update_waits:  an update waits for you, because it needs your consent (arguments): leger deploy update app"
	for _, by := range []string{"the run", "a look that asks no repository"} {
		d = h.host(h.home).Deployments[0]
		if got := reporttest.Findings(d.Findings); d.Generation != 2 || strings.Join(got, "\n") != want {
			t.Errorf("an update that waits, reported by %s: generation %d, %q\nwant %q", by, d.Generation, got, want)
		}
		h.leger(0, "deploy", "status", "--offline")
	}
	h.refuseReports(true)
	h.commit(map[string]string{"web.container": web("Environment=A=c")})
	wantIn(t, h.leger(0, "deploy", "auto", "run", "--settle", "10ms").stderr, "warning: the server was not told")
}

// olderServer is one that knows no findings: it refuses what it does not know.
type olderServer struct {
	http.Handler
	refused *[]string
}

func (o olderServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte(`"generation"`)) || bytes.Contains(body, []byte(`"health"`)) || bytes.Contains(body, []byte(`"findings"`)) {
			*o.refused = append(*o.refused, string(body))
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"success":false,"error":{"code":"invalid_request","message":"a field this route does not know"}}`))
			return
		}
	}
	o.Handler.ServeHTTP(w, r)
}

func TestAnOlderServerIsToldWhatItKnows(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var refused []string
	var old http.Handler = olderServer{*h.handler.Load(), &refused}
	h.handler.Store(&old)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	s := h.leger(0, "deploy", "install", "--release", "app", "--yes", "--settle", "10ms", "--json")
	if strings.Contains(s.stderr, "was not told") || strings.Contains(s.stdout, "report_error") {
		t.Errorf("it complains: %s%s", s.stderr, s.stdout)
	}
	d := h.host(h.home).Deployments[0]
	if len(refused) != 1 || d.Release.String() != "app" || d.State != leger.HostActive || len(d.Units) != 1 || d.Health != "" || d.Generation != 0 {
		t.Errorf("refused %d, knows %+v", len(refused), d)
	}
	if strings.Contains(strings.Join(refused, ""), canary) {
		t.Error("a report has a secret value")
	}
}

// A server that takes a report and never answers holds up what only looked for two
// seconds, once.
func TestAServerThatHangsHoldsUpAStatusOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	api, reports := *h.handler.Load(), make(chan struct{}, 10)
	var hangs http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			api.ServeHTTP(w, r)
			return
		}
		reports <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body) // only then is a caller that leaves noticed
		<-r.Context().Done()
	})
	h.handler.Store(&hangs)
	began := time.Now()
	wantIn(t, h.leger(0, "deploy", "status").stderr, "warning: the server was not told")
	if took := time.Since(began); took > time.Minute { // on a busy machine
		t.Errorf("it took %s", took)
	}
	if s := h.leger(0, "deploy", "status"); strings.Contains(s.stderr, "was not told") || len(reports) != 1 {
		t.Errorf("%d reports; it says %s", len(reports), s.stderr)
	}
}
