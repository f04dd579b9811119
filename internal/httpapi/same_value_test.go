package httpapi_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/wire"
)

// After a backup was put back, version 2 was given a second time, to another value.
// The ETag knew names, versions and ids only, so a machine that asked with the one
// it had was told 304 and kept the lost value for good.
func TestSameVersionOfAnotherValueIsNotNotModified(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	const path = "/api/secrets/key"
	put := func(value string) {
		t.Helper()
		if res := p.as(t, "alice", http.MethodPost, path, `{"value":"`+value+`"}`); res.status != http.StatusOK {
			t.Fatalf("put: %d %s", res.status, res.body)
		}
	}
	put("canary-first")
	backup := filepath.Join(t.TempDir(), "backup.db")
	s.exec(t, `VACUUM INTO '`+backup+`'`)
	put("canary-lost")

	for _, list := range []string{"/api/secrets", "/api/secrets?include_values=true"} {
		t.Run(list, func(t *testing.T) {
			before := p.as(t, "alice", http.MethodGet, list, "")
			content, err := os.ReadFile(backup)
			must(t, err)
			copied := filepath.Join(t.TempDir(), "leger.db")
			must(t, os.WriteFile(copied, content, 0o600))
			restored := s.startOn(t, copied)
			there := &people{target: restored.target(), identities: p.identities, tokens: map[string]string{}, cookies: p.cookies}
			res := there.as(t, "alice", http.MethodPost, path, `{"value":"canary-new"}`)
			if !strings.Contains(string(res.body), `"version":2`) {
				t.Fatalf("the number did not repeat: %s", res.body)
			}
			after := there.ifNoneMatch(t, "alice", list, before.header.Get("ETag"))
			if after.status != http.StatusOK {
				t.Fatalf("status %d, want 200", after.status)
			}
			old, fresh := data[wire.Secrets](t, before), data[wire.Secrets](t, after)
			if old.Secrets[0].Version != fresh.Secrets[0].Version || old.Secrets[0].ValueID == fresh.Secrets[0].ValueID {
				t.Errorf("before %+v, after %+v: want one version and two values", old.Secrets[0], fresh.Secrets[0])
			}
			if old.Installation != fresh.Installation {
				t.Errorf("a copy of the database is another installation: %v, %v", old.Installation, fresh.Installation)
			}
		})
	}
}

// Two servers are two installations, which sign-in, profile and list tell alike.
func TestInstallationIsToldTheSameEverywhere(t *testing.T) {
	t.Parallel()
	seen := map[wire.Installation]bool{}
	for range 2 {
		s := startServer(t, nil)
		p := newPeople(s.target())
		user := data[wire.Profile](t, p.as(t, "alice", http.MethodGet, "/api/user", ""))
		signIn := data[wire.Validated](t, p.as(t, "alice", http.MethodPost, "/api/auth/validate", `{"session":false}`))
		list := data[wire.Secrets](t, p.as(t, "alice", http.MethodGet, "/api/secrets", ""))
		if list.Installation != user.Installation || list.Installation != signIn.Installation {
			t.Errorf("list %v, user %v, sign-in %v", list.Installation, user.Installation, signIn.Installation)
		}
		seen[list.Installation] = true
	}
	if len(seen) != 2 {
		t.Errorf("two servers are %v", seen)
	}
}

// ifNoneMatch asks for what may not have changed.
func (p *people) ifNoneMatch(t *testing.T, label, path, etag string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+path, http.NoBody)
	must(t, err)
	r.Header.Set("If-None-Match", etag)
	p.authorize(t, label, r)
	res, err := roundTrip(r)
	must(t, err)
	return res
}

// A token that "sign out everywhere" had ended made an empty account anew, after the
// account was deleted, until it expired by itself.
func TestEndedTokenMakesNoAccountAnew(t *testing.T) {
	t.Parallel()
	clock := time.Now().Truncate(time.Second)
	s := startServer(t, func(c *httpapi.Config) { c.Now = func() time.Time { return clock } })
	p := newPeople(s.target())
	old := p.token(t, "alice")
	clock = clock.Add(2 * time.Second)
	data[wire.SignedOut](t, p.send(t, http.MethodDelete, "/api/sessions", "", old))
	user := p.identity(t, "alice").UserID()
	must(t, s.store.DeleteUser(t.Context(), user, leger.AuditEvent{User: user, Action: leger.ActionUserDelete}))
	for _, body := range []string{`{"session":false}`, ""} {
		if res := p.send(t, http.MethodPost, "/api/auth/validate", body, old); res.status != http.StatusUnauthorized {
			t.Errorf("validate %s: %d %s", body, res.status, res.body)
		}
	}
	if _, err := s.store.User(t.Context(), user); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("the account: %v", err)
	}
}
