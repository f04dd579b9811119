package vault_test

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/vault"
)

// safe is a vault over SQLite with one account.
type safe struct {
	*vault.Vault
	store *sqlite.Store
	path  string
	key   string
	user  leger.UserID
}

func newSafe(t *testing.T) *safe {
	t.Helper()
	s := &safe{key: newKey(t), path: filepath.Join(t.TempDir(), "leger.db")}
	var err error
	s.store, err = sqlite.Open(t.Context(), sqlite.Config{Path: s.path})
	must(t, err)
	t.Cleanup(func() { _ = s.store.Close() })
	s.user = s.account(t, "alice@example.com")
	s.Vault = s.with(t, s.key, "")
	return s
}

// with is the same safe under other keys.
func (s *safe) with(t *testing.T, current, previous string) *vault.Vault {
	t.Helper()
	return vault.New(vault.Config{Keys: ring(t, current, previous), Secrets: s.store, Now: time.Now, Random: rand.Reader})
}

func (s *safe) account(t *testing.T, email string) leger.UserID {
	t.Helper()
	u, _, err := s.store.SignIn(t.Context(), leger.SignIn{Identity: leger.LocalIdentity(email), At: time.Now()}, nil)
	must(t, err)
	return u.ID
}

// put writes a value and gives the outcome.
func (s *safe) put(t *testing.T, name, value string) vault.Written {
	t.Helper()
	w, err := s.Put(t.Context(), s.user, vault.Item{Name: secretName(t, name), Value: text(value)}, vault.Precondition{}, s.event())
	must(t, err)
	return w
}

// event is who writes and reads in these tests.
func (s *safe) event() leger.AuditEvent {
	return leger.AuditEvent{At: time.Now(), User: s.user, Credential: leger.CredentialToken}
}

// audit gives the user's events, newest first.
func (s *safe) audit(t *testing.T) []leger.AuditEvent {
	t.Helper()
	events, _, err := s.store.AuditEvents(t.Context(), s.user, leger.AuditPage{Limit: leger.MaxPageSize})
	must(t, err)
	return events
}

func text(s string) leger.Plaintext { return leger.NewPlaintext([]byte(s)) }

func secretName(t *testing.T, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	must(t, err)
	return n
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := vault.NewKey(rand.Reader)
	must(t, err)
	return key
}

func ring(t *testing.T, current string, previous ...string) *vault.KeyRing {
	t.Helper()
	r, err := vault.ParseKeyRing(current, strings.Join(previous, ","))
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
