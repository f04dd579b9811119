package httpapi_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/vault"
	"leger.run/leger/internal/wire"
)

// under is another server over the same database, with these keys.
func (s *server) under(t *testing.T, current, previous string) *server {
	t.Helper()
	ring, err := vault.ParseKeyRing(current, previous)
	must(t, err)
	must(t, s.store.Close())
	other := &server{path: s.path, key: current, shared: s.shared}
	return other.start(t, func(c *httpapi.Config) {
		c.Vault = vault.New(vault.Config{Keys: ring, Secrets: other.store, Now: time.Now, Random: rand.Reader})
		must(t, other.store.OpenAuditKey(t.Context(), ring, rand.Reader))
	})
}

// rekey asks for one part.
func (p *people) rekey(t *testing.T, cursor string) wire.Rekeyed {
	t.Helper()
	body := fmt.Sprintf(`{"cursor":%q}`, cursor)
	return data[wire.Rekeyed](t, p.as(t, "operator", http.MethodPost, "/api/operator/rekey", body))
}

// fill gives alice so many secrets.
func (p *people) fill(t *testing.T, n int) {
	t.Helper()
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"name":"k%03d","value":"first %d"}`, i, i)
	}
	body := `{"secrets":[` + strings.Join(items, ",") + `]}`
	data[struct{}](t, p.as(t, "alice", http.MethodPost, "/api/secrets:batch", body))
}

// rekeyAll asks until it is done, and gives the last answer and what all sealed.
func (p *people) rekeyAll(t *testing.T) (last wire.Rekeyed, resealed int) {
	t.Helper()
	for {
		last = p.rekey(t, last.Next)
		if resealed += last.Resealed; last.Next == "" {
			return last, resealed
		}
	}
}

func keyIDOf(t *testing.T, key string) string {
	t.Helper()
	ring, err := vault.ParseKeyRing(key, "")
	must(t, err)
	return ring.CurrentID()
}

// rotations counts the changes of the key that a user's log tells of.
func (s *server) rotations(t *testing.T, user leger.UserID, key string) (n int) {
	t.Helper()
	for _, e := range s.allAudit(t.Context(), t, user) {
		byOperator := e.Action == leger.ActionKeyRotate && e.Credential == leger.CredentialOperator
		if byOperator && e.Detail == "key "+keyIDOf(t, key) {
			n++
		}
	}
	return n
}

// TestRekeyByRequests: the key changes in parts, is interrupted, goes on while values are
// written, and afterwards the former key can go. Every owner is told once.
func TestRekeyByRequests(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	alice, bob := p.identity(t, "alice").UserID(), p.identity(t, "bob").UserID()
	p.token(t, "bob")
	p.fill(t, 120)
	former, key := s.key, randomText(t)

	s = s.under(t, key, former)
	p.target = s.target()
	p.tokens = map[string]string{}
	first := p.rekey(t, "")
	next := first.Next
	want := wire.Rekeyed{KeyID: keyIDOf(t, key), Resealed: 50, Passed: 50, Total: 120}
	if first.Next = ""; next == "" || !reflect.DeepEqual(first, want) {
		t.Errorf("the first part: %+v", first)
	}
	if n := s.rotations(t, alice, key); n != 0 {
		t.Errorf("%d changes are recorded before it is done", n)
	}
	// Interrupted here: whoever begins anew passes over what is done.
	data[struct{}](t, p.as(t, "alice", http.MethodPost, "/api/secrets/k119", `{"value":"second"}`))
	last, resealed := p.rekeyAll(t)
	if resealed != 70 || last.Passed != 121 || !slices.Equal(last.Former, []string{keyIDOf(t, former)}) {
		t.Errorf("the rest: %d records, at last %+v", resealed, last)
	}
	p.rekey(t, next) // a request that was sent twice
	if again, n := p.rekeyAll(t); n != 0 || again.Former == nil {
		t.Errorf("again: %d records, %+v", n, again)
	}
	for _, user := range []leger.UserID{alice, bob} {
		if n := s.rotations(t, user, key); n != 1 {
			t.Errorf("a log tells %d times of it", n)
		}
	}

	s = s.under(t, key, "")
	p.target = s.target()
	p.tokens = map[string]string{}
	list := data[wire.Secrets](t, p.as(t, "alice", http.MethodGet, "/api/secrets?include_values=true", ""))
	if len(list.Secrets) != 120 {
		t.Errorf("%d secrets open without the former key", len(list.Secrets))
	}
}

// TestRekeyGoesAroundAgain: an instance that still has the former key wrote a value after
// the rekey had passed its place. Then it is not done, and says so by going on.
func TestRekeyGoesAroundAgain(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	p.fill(t, 60)
	former, key := s.key, randomText(t)
	s = s.under(t, key, former)
	p.target, p.tokens = s.target(), map[string]string{}
	part := p.rekey(t, "")
	old := vault.New(vault.Config{Keys: mustRing(t, former), Secrets: s.store, Now: time.Now, Random: rand.Reader})
	name, err := leger.ParseSecretName("a_late_one")
	must(t, err)
	user := p.identity(t, "alice").UserID()
	late := vault.Item{Name: name, Value: leger.NewPlaintext([]byte("v"))}
	_, err = old.Put(t.Context(), user, late, vault.Precondition{},
		leger.AuditEvent{At: time.Now(), User: user, Credential: leger.CredentialToken})
	must(t, err)
	if part = p.rekey(t, part.Next); part.Next == "" || part.Resealed != 10 {
		t.Fatalf("the last part of the first round: %+v", part)
	}
	if part = p.rekey(t, part.Next); part.Resealed != 1 {
		t.Errorf("the second round begins with %+v", part)
	}
	if part = p.rekey(t, part.Next); part.Next != "" || part.Former == nil {
		t.Errorf("the end: %+v", part)
	}
	if n := s.rotations(t, user, key); n != 1 {
		t.Errorf("the log tells %d times of it", n)
	}
}

func mustRing(t *testing.T, key string) *vault.KeyRing {
	t.Helper()
	ring, err := vault.ParseKeyRing(key, "")
	must(t, err)
	return ring
}

// TestRekeyNeedsTheKeys: what the server lacks is named, and nothing is changed. A cursor
// of another key's rekey is refused: an instance with former settings would seal backwards.
func TestRekeyNeedsTheKeys(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	data[struct{}](t, p.as(t, "alice", http.MethodPost, "/api/secrets/a", `{"value":"v"}`))
	cursor := p.rekey(t, "").Next
	if cursor != "" {
		t.Errorf("one record is more than one part: %q", cursor)
	}
	ring, err := vault.ParseKeyRing(randomText(t), "")
	must(t, err)
	lacking := startServerOn(t, s, ring)
	res := newPeople(lacking.target()).as(t, "operator", http.MethodPost, "/api/operator/rekey", "")
	code, _ := failure(t, res)
	named := strings.Contains(string(res.body), keyIDOf(t, s.key))
	if code != leger.CodeConflict || !named || !strings.Contains(string(res.body), "ENCRYPTION_KEY_PREVIOUS") {
		t.Errorf("without the former key: %d %s", res.status, res.body)
	}
	data[struct{}](t, p.as(t, "alice", http.MethodGet, "/api/secrets/a", ""))
}

// startServerOn is a second server on the database of the first one.
func startServerOn(t *testing.T, s *server, ring *vault.KeyRing) *server {
	t.Helper()
	return startServer(t, func(c *httpapi.Config) {
		c.Stores = s.store
		c.Vault = vault.New(vault.Config{Keys: ring, Secrets: s.store, Now: time.Now, Random: rand.Reader})
	}).with(s.path)
}

// with has the tests write to another database.
func (s *server) with(path string) *server {
	s.path = path
	return s
}

// noTickets is storage that is away when the operator's ticket is looked up.
type noTickets struct{ httpapi.Stores }

func (noTickets) OperatorTicket(ctx context.Context, _ leger.TicketHash, _ time.Time) error {
	return leger.Wrap(leger.CodeUnavailable, ctx.Err(), "the database does not answer")
}

// Storage that is away is no wrong credential: nobody is slowed down for it.
func TestOperatorWhenStorageIsAway(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *httpapi.Config) { c.Stores = noTickets{c.Stores} })
	res := newPeople(s.target()).as(t, "operator", http.MethodPost, "/api/operator/rekey", "")
	if code, _ := failure(t, res); code != leger.CodeUnavailable {
		t.Errorf("%d %s", res.status, res.body)
	}
}
