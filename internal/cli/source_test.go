package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/report/reporttest"
	"leger.run/leger/internal/wire"
)

// gitHost serves a host's repository and remembers who asked with what.
type gitHost struct {
	url     string
	private atomic.Bool // it wants a password, and takes only token
	token   string

	mu        sync.Mutex
	asked     int
	passwords []string // that arrived
}

func (h *host) newGitHost(token string) *gitHost {
	h.t.Helper()
	g, backend := &gitHost{token: token}, h.backend()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, given, ok := req.BasicAuth()
		g.mu.Lock()
		g.asked++
		if ok || req.Header.Get("Authorization") != "" {
			g.passwords = append(g.passwords, given)
		}
		g.mu.Unlock()
		if g.private.Load() && (!ok || given != g.token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	h.t.Cleanup(srv.Close)
	g.url = srv.URL + "/.git"
	g.private.Store(token != "")
	return g
}

func (g *gitHost) seen() (asked int, passwords []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked, slices.Clone(g.passwords)
}

// editApp changes the release "app" on the server, as a browser does.
func (h *host) editApp(change wire.ReleaseUpdate) {
	h.t.Helper()
	var release struct{ ID string }
	if err := json.Unmarshal([]byte(h.leger(0, "releases", "show", "app", "--json").stdout), &release); err != nil {
		h.t.Fatal(err)
	}
	body, err := json.Marshal(change)
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPut, h.api.URL+"/api/releases/"+release.ID, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(h.leger(0, "auth", "token").stdout))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		h.t.Fatalf("the release was not changed: %s", res.Status)
	}
}

// A release's URL was changed on the server, for which a browser session
// suffices. deploy plan then sent the private repository's token to the new host,
// and deploy auto installed what that host served.
func TestTheURLChangesOnTheServer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.standin("systemctl", "#!/bin/sh\n")
	ours, theirs := h.newGitHost(canary), h.newGitHost("")
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "git_token")
	h.leger(0, "secrets", "sync")
	h.leger(0, "releases", "create", "app", "--git-url", ours.url)
	h.commit(map[string]string{"web.container": noSecret("")})
	h.leger(0, "deploy", "install", "--release", "app", "--git-token-secret", "git_token")
	if _, got := ours.seen(); !slices.Contains(got, canary) {
		t.Fatalf("the repository's own host did not get the token: %d passwords", len(got))
	}
	h.leger(0, "deploy", "auto", "on", "app")

	h.editApp(wire.ReleaseUpdate{GitURL: &theirs.url})
	h.commit(map[string]string{"web.container": noSecret("Label=theirs=1")})
	moved := "the repository changes: " + ours.url + " → " + theirs.url

	// Nobody agreed to that host: neither the timer nor a look asks it anything.
	run := h.leger(5, "deploy", "auto", "run", "--json")
	wantIn(t, run.stdout, `"outcome": "waiting"`, `"kind": "source"`, moved, `"command": "leger deploy update app"`)
	wantIn(t, run.stderr, "app: waiting: ", moved, "1 update waits for you: app", "hint: read what it brings, and install it if it is meant: leger deploy update app")
	status := h.leger(0, "deploy", "status", "app", "--json")
	wantIn(t, status.stdout, `"what": "repository"`, `"to": "`+theirs.url+`"`, `"moved": false`, `"waiting": {`)
	wantIn(t, h.leger(0, "deploy", "status", "app").stderr, "on the server "+moved, "leger deploy plan app", "an update waits for you since")
	want := "update_waits:  an update waits for you, because it needs your consent (source): leger deploy update app"
	if got := reporttest.Findings(h.host(h.home).Deployments[0].Findings); strings.Join(got, "\n") != want {
		t.Errorf("the server is told %q, want %q", got, want)
	}
	if n, _ := theirs.seen(); n != 0 {
		t.Errorf("the new host was asked %d times before anybody agreed to it", n)
	}

	// A plan asks it, without the token, whatever it says it needs.
	theirs.private.Store(true)
	s := h.leger(4, "deploy", "plan", "app")
	wantIn(t, s.stderr, "warning: the token in the secret git_token was given for "+strings.TrimSuffix(ours.url, "/.git")+" and is not sent to "+theirs.url,
		"wants credentials", "hint: if you trust the new host with a token, name its secret: leger deploy update app --git-token-secret NAME")
	theirs.private.Store(false)
	wantIn(t, h.leger(0, "deploy", "plan", "app").stdout, "source  "+moved, "1 thing needs your consent", "  "+moved)
	wantIn(t, h.leger(2, "deploy", "update", "app").stderr, "needs your consent to 1 thing")
	h.leger(0, "deploy", "update", "app", "--yes")

	// It is agreed to now; the token still stays with the host that it is for.
	h.commit(map[string]string{"web.container": noSecret("Label=theirs=2")})
	theirs.private.Store(true)
	h.leger(4, "deploy", "update", "app")
	wantIn(t, h.leger(0, "deploy", "auto", "off", "app").stderr, "only when you say so")
	if _, got := theirs.seen(); len(got) != 0 {
		t.Fatalf("the new host got %d passwords", len(got))
	}

	// Back at the first, the token is used again.
	h.editApp(wire.ReleaseUpdate{GitURL: &ours.url})
	wantIn(t, h.leger(0, "deploy", "update", "app", "--yes").stderr, "the repository changes: "+theirs.url+" → "+ours.url, "generation 3")

	// Named for the new host, it goes there.
	theirs.token = canary
	h.editApp(wire.ReleaseUpdate{GitURL: &theirs.url})
	h.leger(0, "deploy", "update", "app", "--yes", "--git-token-secret", "git_token")
	if _, got := theirs.seen(); !slices.Contains(got, canary) {
		t.Error("the token was named for the new host and did not get there")
	}
	h.commit(map[string]string{"web.container": noSecret("Label=theirs=3")})
	h.leger(0, "deploy", "update", "app")
}

// Another branch and another directory are another source. With the same commit
// and another directory deploy auto even said "unchanged".
func TestTheBranchAndDirectoryChangeOnTheServer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.standin("systemctl", "#!/bin/sh\n")
	h.leger(0, "releases", "create", "app", "--git-url", h.url, "--git-path", "one")
	h.commit(map[string]string{"one/web.container": noSecret(""), "two/web.container": noSecret("Label=a=b")})
	h.git("branch", "dev")
	h.leger(0, "deploy", "install", "--release", "app")
	h.leger(0, "deploy", "auto", "on", "app")
	one, two, dev, main := "one", "two", "dev", leger.DefaultGitRef

	h.editApp(wire.ReleaseUpdate{GitPath: &two})
	wantIn(t, h.leger(5, "deploy", "auto", "run").stderr, "its source on the server is another now", "the directory changes: one → two")
	wantIn(t, h.leger(0, "deploy", "plan", "app").stdout, "source  the directory changes: one → two", "1 thing needs your consent")

	h.editApp(wire.ReleaseUpdate{GitBranch: &dev})
	wantIn(t, h.leger(0, "deploy", "plan", "app").stdout, "2 things need your consent", "the branch changes: main → dev")
	wantIn(t, h.leger(5, "deploy", "auto", "run").stderr, "the branch changes: main → dev; the directory changes: one → two")

	h.editApp(wire.ReleaseUpdate{GitBranch: &main, GitPath: &one})
	h.leger(0, "deploy", "auto", "run")
	if s := h.leger(0, "deploy", "status", "app", "--json"); strings.Contains(s.stdout, `"waiting"`) {
		t.Errorf("what was undone still waits: %s", s.stdout)
	}
}
