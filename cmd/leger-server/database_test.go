package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"leger.run/leger"
	program "leger.run/leger/cmd/leger-server"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/wire"
)

// dataWithSecret is the data directory of a server that was stopped, with the
// secret "k".
func dataWithSecret(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, nil)
	if _, err := s.client().SetSecret(t.Context(), name(t, "k"), leger.NewPlaintext([]byte("v")), 0); err != nil {
		t.Fatal(err)
	}
	s.kill()
	return data
}

// A server whose disk with the database was not mounted came up empty, and after the
// next sign-in a sync removed a hundred secrets from a machine.
func TestKeysWithoutDatabaseAreRefused(t *testing.T) {
	t.Parallel()
	data := dataWithSecret(t)
	args := []string{"--data", data, "--listen", "127.0.0.1:0"}
	database := filepath.Join(data, "leger.db")
	away := t.TempDir()
	for _, file := range []string{database, database + "-wal", database + "-shm"} {
		if err := os.Rename(file, filepath.Join(away, filepath.Base(file))); err != nil && file == database {
			t.Fatal(err)
		}
	}
	fails(t, 1, nil, args, data, "no database", "mount the disk", "--new-database")
	if _, err := os.Stat(database); err == nil {
		t.Error("the refused start made a database")
	}
	// A file of no bytes is no database either, though SQLite would make one of it.
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 1, nil, args, "no database", "--new-database")

	s := start(t, data, nil, "--new-database")
	if list, err := s.client().Secrets(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("the new database has %d secrets, %v", len(list), err)
	}
	s.kill()
	start(t, data, nil) // from now on it is there
}

// One start with the clock a month ahead pruned at once: a token that had been
// revoked was forgotten, and worked again when the clock was right.
func TestStartPrunesNothing(t *testing.T) {
	t.Parallel()
	data := dataWithSecret(t)
	path := filepath.Join(data, "leger.db")
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	// Seen from a clock that is right this one is valid; from the server's it is not.
	if err := store.SpendToken(t.Context(), "revoked", time.Now().Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, data, nil)
	if _, err := s.client().Secrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.kill()
	store, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if spent, err := store.TokenSpent(t.Context(), "revoked"); err != nil || !spent {
		t.Errorf("after a start the token is spent: %t, %v", spent, err)
	}
}

// A ledger that contradicts itself was served with /ready "ok".
func TestDamageIsToldAtStart(t *testing.T) {
	t.Parallel()
	data := dataWithSecret(t)
	db, err := sql.Open("sqlite", filepath.Join(data, "leger.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `UPDATE secrets SET name = 'j'`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, data, nil)
	if log := s.output(); !strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, "the database is damaged") {
		t.Errorf("the log does not tell of the damage:\n%s", log)
	}
	if code, storage := readiness(t, s.url); code != http.StatusServiceUnavailable || !strings.Contains(storage, "damaged") {
		t.Errorf("/ready is %d, %q", code, storage)
	}
	if list, err := s.client().Secrets(t.Context()); leger.CodeOf(err) != leger.CodeInternal {
		t.Errorf("the list has %d secrets, %v", len(list), err)
	}
	if log := s.output(); !strings.Contains(log, `"level":"ERROR","msg":"request"`) {
		t.Errorf("the log does not tell of the request that met it:\n%s", log)
	}
}

// A page of the file that the disk garbled: the server looks at its start, and serves
// what can be read.
func TestAGarbledPageIsToldAtStart(t *testing.T) {
	t.Parallel()
	data := dataWithSecret(t)
	execute(t, data, "PRAGMA wal_checkpoint(TRUNCATE)")
	path := filepath.Join(data, "leger.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var page, size int64
	row := db.QueryRowContext(t.Context(), `SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'idx_users_tailscale_id'`)
	if err := errors.Join(row.Scan(&page, &size), db.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte{0xff}, int(size)/2)
	_, err = f.WriteAt(garbage, (page-1)*size+size/2)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	s := start(t, data, nil)
	if log := s.output(); !strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, "the database is damaged") {
		t.Errorf("the log does not tell of the damage:\n%s", log)
	}
}

// A database that is damaged while the server runs: nobody asks for what is broken, and
// the daily look tells of it, in the log and at /ready.
func TestDamageIsToldWithinADay(t *testing.T) {
	t.Parallel()
	data := dataWithSecret(t)
	var log buffer
	daily, up, ended := make(chan time.Time), make(chan string, 1), make(chan int, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- program.Serve(ctx, []string{"--data", data, "--listen", "127.0.0.1:0"}, &log, func(d time.Duration) <-chan time.Time {
			if d == 24*time.Hour {
				return daily
			}
			return nil
		}, func(addr string) { up <- addr })
	}()
	url := "http://" + <-up
	look := func() { // the second waits for the first to end
		daily <- time.Time{}
		daily <- time.Time{}
	}
	look()
	if code, _ := readiness(t, url); code != http.StatusOK || strings.Contains(log.String(), "ERROR") {
		t.Fatalf("before: /ready is %d\n%s", code, log.String())
	}
	execute(t, data, `UPDATE secrets SET name = 'j'`)
	look()
	if code, storage := readiness(t, url); code != http.StatusServiceUnavailable || !strings.Contains(storage, "damaged") {
		t.Errorf("/ready is %d, %q", code, storage)
	}
	if said := log.String(); !strings.Contains(said, `"level":"ERROR"`) || !strings.Contains(said, "the database is damaged") {
		t.Errorf("the log does not tell of the damage:\n%s", said)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d:\n%s", code, log.String())
	}
}

// readiness is what /ready says of the server, and of its storage.
func readiness(t *testing.T, url string) (code int, storage string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/ready", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var ready wire.Ready
	if err := json.NewDecoder(res.Body).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, ready.Checks["storage"]
}

// buffer takes a log from several goroutines.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// execute runs SQL on the database.
func execute(t *testing.T, data, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "leger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}
