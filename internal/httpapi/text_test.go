package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// What a browser says it is, and the paths that are refused, are kept as text that
// can be shown: a header may hold any byte, a path any encoded one.
func TestKeptTextCanBeShown(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/auth/validate", strings.NewReader(`{}`))
	must(t, err)
	r.Header.Set("Content-Type", wire.ContentType)
	r.Header.Set("Authorization", "Bearer "+p.tokenOf(t, "alice", "link"))
	r.Header.Set("User-Agent", "Mozilla\u202e\xff\u009b"+strings.Repeat("é", 200))
	res, err := roundTrip(r)
	must(t, err)
	if res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	role := p.as(t, "alice", http.MethodPatch, "/api/machines/"+p.machine(t, "alice+box").id, `{"role":"deliver"}`)
	if role.status != http.StatusOK {
		t.Fatalf("%d %s", role.status, role.body)
	}
	refused := p.as(t, "alice+box", http.MethodDelete, "/api/sessions/a%E2%80%AEb%1B%5B2J%FF", "")
	if refused.status != http.StatusForbidden {
		t.Fatalf("%d %s", refused.status, refused.body)
	}
	user := p.identity(t, "alice").UserID()
	var kept []string
	sessions, err := s.store.Sessions(t.Context(), user, time.Now())
	must(t, err)
	for _, session := range sessions {
		kept = append(kept, session.UserAgent)
		if len(session.UserAgent) > 200 {
			t.Errorf("the user agent has %d bytes", len(session.UserAgent))
		}
	}
	for _, e := range s.allAudit(t.Context(), t, user) {
		kept = append(kept, e.Detail, e.Subject, e.RemoteAddr)
	}
	if len(kept) < 8 {
		t.Fatalf("only %q are kept", kept)
	}
	for _, text := range kept {
		if text != leger.PrintableText(text) {
			t.Errorf("%q is kept", text)
		}
	}
}

// A branch that was kept before it had to be printable took the whole list of releases
// with it.
func TestABranchFromBeforeIsShown(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	for _, name := range []string{"good", "old"} {
		if res := p.as(t, "alice", http.MethodPost, "/api/releases", `{"name":"`+name+`","git_url":"https://example.com/r"}`); res.status != http.StatusOK {
			t.Fatalf("create: %d %s", res.status, res.body)
		}
	}
	s.exec(t, `UPDATE releases SET git_branch = 'main' || char(0x202e) WHERE name = 'old'`)
	res := p.as(t, "alice", http.MethodGet, "/api/releases", "")
	if res.status != http.StatusOK || !strings.Contains(string(res.body), "good") || !strings.Contains(string(res.body), "main\ufffd") {
		t.Errorf("%d %s", res.status, res.body)
	}
}
