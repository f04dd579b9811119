package sqlite_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/storetest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		runChild(role)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		path := filepath.Join(t.TempDir(), "leger.db")
		s := open(t, sqlite.Config{Path: path})
		return storetest.Stores{
			Secrets: s, Users: s, Sessions: s, Releases: s, Hosts: s, Machines: s, Enrolments: s, Links: s,
			Operator: s, Audit: s, Installation: s, Chain: s,
			Execute: func(ctx context.Context, statement string) error {
				db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(30000)")
				if err != nil {
					return err
				}
				_, err = db.ExecContext(ctx, statement)
				return errors.Join(err, db.Close())
			},
		}
	})
}

func TestReopenKeepsEverything(t *testing.T) {
	t.Parallel()
	cfg := sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db")}
	s := mustOpen(t, cfg)
	user := account(t, s)
	mustPut(t, s, user, "key", 0, "one")
	mustPut(t, s, user, "key", 1, "two")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	got, err := s.SealedSecret(t.Context(), user, name(t, "key"))
	if err != nil || string(got.Ciphertext) != "two" || got.Version != 2 {
		t.Errorf("after reopening: version %d, %v", got.Version, err)
	}
	if _, err := os.Stat(cfg.Path + ".before-0001"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a new database was copied before it was made: %v", err)
	}
}

func TestClosedStoreRefuses(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db")})
	user := account(t, s)
	for range 2 { // closing twice is harmless
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for what, err := range map[string]error{
		"ping": s.Ping(t.Context()), "put": put(t, s, user, "key", 0, "x"),
		"backup": s.Backup(t.Context(), filepath.Join(t.TempDir(), "copy.db")),
	} {
		if !errors.Is(err, leger.ErrUnavailable) {
			t.Errorf("%s after Close = %v", what, err)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	path := filepath.Join(dir, "leger ?%.db") // characters that mean something in a SQLite URI
	s := open(t, sqlite.Config{Path: path})
	account(t, s)
	copyPath := filepath.Join(dir, "copy.db")
	if err := s.Backup(t.Context(), copyPath); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + "-wal", path + "-shm", path + ".lock", copyPath} {
		wantMode(t, file, 0o600)
	}
	wantMode(t, dir, 0o700|os.ModeDir)
}

// A copy put back by hand often has the mode that the umask left.
func TestOpenMakesFilePrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	if err := mustOpen(t, sqlite.Config{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, sqlite.Config{Path: path})
	wantMode(t, path, 0o600)
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode() != want {
		t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
	}
}

// Anybody who opens the file with another program finds the specification's record.
func TestFileShowsTheSpecifiedRecord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	s := open(t, sqlite.Config{Path: path})
	user := account(t, s)
	sealed := mustPut(t, s, user, "openai_api_key", 0, "\x00\x01\xff")
	mustPut(t, s, user, "gone", 0, "x")
	if err := s.DeleteSecret(t.Context(), user, name(t, "gone"), 0, leger.AuditEvent{}); err != nil {
		t.Fatal(err)
	}
	var id, owner, secret, value, encryption, version, created, updated string
	var accessed sql.NullString
	err := raw(t, path).QueryRowContext(t.Context(), `SELECT secret_id, user_uuid, name, encrypted_value, encryption_version,
		version, created_at, updated_at, last_accessed FROM secret_records`).
		Scan(&id, &owner, &secret, &value, &encryption, &version, &created, &updated, &accessed)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(id, owner, secret, " ", value, " ", encryption, version, " ", created, " ", updated, accessed.Valid)
	want := fmt.Sprint(sealed.ID, user, "openai_api_key AAH/ 11 2026-03-01T10:20:30.123000Z 2026-03-01T10:20:30.123000Z", false)
	if got != want {
		t.Errorf("record = %s\n   want = %s", got, want)
	}
}

func TestTimesAreSortableText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	s := open(t, sqlite.Config{Path: path, Now: func() time.Time { return start().In(time.FixedZone("", 3600)) }})
	account(t, s)
	for _, column := range []string{"applied_at FROM schema_migrations", "created_at FROM users", "last_seen FROM users"} {
		var text string
		if err := raw(t, path).QueryRowContext(t.Context(), "SELECT '' || "+column).Scan(&text); err != nil {
			t.Fatal(err)
		}
		if text != "2026-03-01T10:20:30.123000Z" {
			t.Errorf("%s holds %s", column, text)
		}
	}
}

// raw opens the file as any other program would.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(30000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func mustOpen(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s := mustOpen(t, cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func start() time.Time { return time.Date(2026, 3, 1, 10, 20, 30, 123_000_000, time.UTC) }

func owner() leger.Identity {
	return leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(1), Email: "alice@github", Tailnet: "example.ts.net"}
}

func account(t testing.TB, s *sqlite.Store) leger.UserID {
	t.Helper()
	u, _, err := s.SignIn(t.Context(), leger.SignIn{Identity: owner(), At: start()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

func name(t testing.TB, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// write makes version expect+1 of a secret; it needs no test, so that a child
// process can use it.
func write(user leger.UserID, n leger.SecretName, expect leger.Version, value string) leger.SecretWrite {
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce) // never fails
	return leger.SecretWrite{
		Expect: expect,
		Audit: leger.AuditEvent{
			At: start(), User: user, Action: leger.ActionSecretUpdate, Subject: n.String(), Version: expect + 1,
			Credential: leger.CredentialToken, RemoteAddr: "100.64.0.1", RequestID: "request",
		},
		Sealed: leger.SealedSecret{
			SecretInfo: leger.SecretInfo{
				ID: "7d444840-9dc0-41d1-b245-5ffdce74fad2", User: user, Name: n, Version: expect + 1, CreatedAt: start(), UpdatedAt: start(),
			},
			Ciphertext: []byte(value), Nonce: nonce, EncryptionVersion: 1, KeyID: "key1",
		},
	}
}

func put(t testing.TB, s *sqlite.Store, user leger.UserID, n string, expect leger.Version, value string) error {
	t.Helper()
	return s.PutSecrets(t.Context(), []leger.SecretWrite{write(user, name(t, n), expect, value)})
}

func mustPut(t testing.TB, s *sqlite.Store, user leger.UserID, n string, expect leger.Version, value string) leger.SealedSecret {
	t.Helper()
	w := write(user, name(t, n), expect, value)
	if err := s.PutSecrets(t.Context(), []leger.SecretWrite{w}); err != nil {
		t.Fatal(err)
	}
	return w.Sealed
}

// eventually waits for a condition, at most ten seconds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.NewTimer(10*time.Second)
	defer tick.Stop()
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("ten seconds passed before %s", what)
		}
	}
}
