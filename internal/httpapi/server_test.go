package httpapi_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/api"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
)

// server is the API over SQLite, behind a real listener.
type server struct {
	*httptest.Server
	api    *httpapi.API
	store  *sqlite.Store
	path   string // of the database
	key    string // ENCRYPTION_KEY
	shared string // JWT_SECRET
	secret token.Secret
	log    *syncBuffer
}

// startServer runs the API of the contract; change, if not nil, has the last word
// on its parts.
func startServer(t *testing.T, change func(*httpapi.Config)) *server {
	t.Helper()
	s := &server{path: filepath.Join(t.TempDir(), "leger.db"), key: randomText(t), shared: randomText(t)}
	return s.start(t, change)
}

// startOn runs another API, of the same keys, over another database.
func (s *server) startOn(t *testing.T, path string) *server {
	t.Helper()
	other := &server{path: path, key: s.key, shared: s.shared}
	return other.start(t, nil)
}

func (s *server) start(t *testing.T, change func(*httpapi.Config)) *server {
	t.Helper()
	s.log = &syncBuffer{}
	ring, err := vault.ParseKeyRing(s.key, "")
	must(t, err)
	s.secret, err = token.ParseSecret([]byte(s.shared))
	must(t, err)
	s.store, err = sqlite.Open(t.Context(), sqlite.Config{Path: s.path})
	must(t, err)
	t.Cleanup(func() { _ = s.store.Close() })

	s.Server = httptest.NewUnstartedServer(nil)
	c := httpapi.Config{
		Vault:  vault.New(vault.Config{Keys: ring, Secrets: s.store, Now: time.Now, Random: rand.Reader}),
		Stores: s.store, SharedSecret: func() token.Secret { return s.secret }, PublicURL: "http://" + s.Listener.Addr().String(),
		Version: "test", OpenAPI: api.OpenAPI, Web: http.NotFoundHandler(),
		Requests: httpapi.Unlimited{}, Refusals: httpapi.Unlimited{},
		Now: time.Now, Random: rand.Reader,
		Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	s.api, err = httpapi.New(c)
	must(t, err)
	s.Config.Handler, s.Config.DisableGeneralOptionsHandler = s.api, true
	s.Config.ErrorLog = slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// target says where the server is and how to sign tokens for it: all that a
// script may know.
func (s *server) target() target {
	ticket, once := "", sync.Once{}
	return target{base: s.URL, secret: s.secret, shared: s.shared, operator: func(t *testing.T) string {
		t.Helper()
		once.Do(func() { ticket = s.operatorTicket(t, time.Now().Add(leger.OperatorLifetime)) })
		return ticket
	}}
}

// operatorTicket does what the operator does: it writes a ticket's hash into the database.
func (s *server) operatorTicket(t *testing.T, end time.Time) string {
	t.Helper()
	ticket, err := leger.NewTicket(rand.Reader, leger.OperatorPrefix)
	must(t, err)
	s.exec(t, fmt.Sprintf(`INSERT INTO operator_tickets (ticket_hash, expires_at) VALUES ('%s', '%s')`,
		ticket.Hash(), end.UTC().Format("2006-01-02T15:04:05.000000Z")))
	return ticket.Reveal()
}

// syncBuffer takes log lines from many goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// allAudit reads every audit event of a user.
func (s *server) allAudit(ctx context.Context, t *testing.T, user leger.UserID) []leger.AuditEvent {
	t.Helper()
	var all []leger.AuditEvent
	for before := int64(0); ; {
		events, next, err := s.store.AuditEvents(ctx, user, leger.AuditPage{Limit: leger.MaxPageSize, Before: before})
		must(t, err)
		all = append(all, events...)
		if before = next; before == 0 {
			return all
		}
	}
}

func randomText(t *testing.T) string {
	t.Helper()
	b := make([]byte, 32)
	_, err := rand.Read(b)
	must(t, err)
	return base64.StdEncoding.EncodeToString(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exec does to the database what only an operator, or a thief, could do.
func (s *server) exec(t *testing.T, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.path+"?_pragma=busy_timeout(30000)")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	_, err = db.ExecContext(t.Context(), query)
	must(t, err)
}

// logged gives the log line of a request.
func (s *server) logged(t *testing.T, requestID string) map[string]any {
	t.Helper()
	for line := range strings.Lines(s.log.String()) {
		var l map[string]any
		must(t, json.Unmarshal([]byte(line), &l))
		if l["msg"] == "request" && l["request_id"] == requestID {
			return l
		}
	}
	t.Fatalf("the log has no line of request %s", requestID)
	return nil
}

// Cloudflare resolves such paths before the Worker sees them; here they arrive,
// and are not led anywhere.
func TestDotsInPaths(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	for path, want := range map[string]int{
		"/api/secrets/%2e%2e": http.StatusBadRequest, "/api/./secrets": http.StatusNotFound, "/api/secrets/../secrets": http.StatusNotFound,
	} {
		if res := p.as(t, "alice", http.MethodGet, path, ""); res.status != want {
			t.Errorf("%s: status %d, want %d", path, res.status, want)
		}
	}
}
