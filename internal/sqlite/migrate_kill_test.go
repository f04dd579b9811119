package sqlite_test

import (
	"database/sql"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger/internal/killtest"
	"leger.run/leger/internal/sqlite"
)

// oldReleases is how many releases the database of the test has: enough that kills
// come in the middle of copying it and of migrating it.
const oldReleases = 3000

// oldRelease is the id of one, by its number.
const oldRelease = "7d444840-9dc0-41d1-b245-%012x"

// oldDatabase makes a database as the first version of the schema has it.
func oldDatabase(t *testing.T, path string) {
	t.Helper()
	if err := mustOpen(t, sqlite.Config{Path: path, Migrations: schema(t)[:1]}).Close(); err != nil {
		t.Fatal(err)
	}
	user := owner().UserID().String()
	execSQL(t, path, `INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet, created_at)
		VALUES (?, 'u1', 'alice@github', 'example.ts.net', '2025-01-02 03:04:05')`, user)
	execSQL(t, path, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
		INSERT INTO releases (id, user_uuid, name, git_url, version, created_at, updated_at)
		SELECT printf('`+oldRelease+`', i), ?1, 'r' || i, 'https://git.example.com/' || i, 3,
		'2025-01-02 03:04:05', '2025-02-03 04:05:06' FROM n`, user, oldReleases)
	execSQL(t, path, `PRAGMA wal_checkpoint(TRUNCATE)`) // the file alone is copied
}

// Whenever kill -9 comes, the database is as it was or migrated, never between; a copy
// that was made of it is whole, and the next start finishes.
func TestKilledMigrationIsOldOrNew(t *testing.T) {
	t.Parallel()
	rounds := killtest.Times(t, 12)
	dir := t.TempDir()
	old := filepath.Join(dir, "old.db")
	oldDatabase(t, old)
	seed := mathrand.Uint64()
	t.Log("seed", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	whole := migrateFor(t, copyOf(t, old, dir, "measure"), time.Minute)
	outcomes := map[string]int{}
	for round := range rounds {
		path := copyOf(t, old, dir, fmt.Sprint("round", round))
		finished := migrateFor(t, path, time.Duration(random.Int64N(int64(whole)+int64(whole)/8)))
		outcomes[stateOf(t, path)]++
		if _, err := os.Stat(path + ".before-0002"); err == nil {
			if got := stateOf(t, path+".before-0002"); got != "old" {
				t.Fatalf("round %d: the copy is %s", round, got)
			}
		}
		if state := stateOf(t, path); finished > 0 && state != "new" {
			t.Fatalf("round %d: it was said to be migrated and is %s", round, state)
		}
		s := mustOpen(t, sqlite.Config{Path: path})
		first, err := s.ReleaseVersions(t.Context(), owner().UserID(), fmt.Sprintf(oldRelease, 1))
		if err != nil || len(first) != 1 {
			t.Fatalf("round %d: a release of before has %d versions, %v", round, len(first), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Error(err)
		}
	}
	t.Logf("outcomes of %d kills within %v: %v", rounds, whole, outcomes)
}

func copyOf(t *testing.T, path, dir, name string) string {
	t.Helper()
	to := filepath.Join(dir, name, "leger.db")
	if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(contents(t, path)), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// migrateFor lets another process migrate the database and kills it after d. It gives
// how long that took, 0 when it was cut off.
func migrateFor(t *testing.T, path string, d time.Duration) time.Duration {
	t.Helper()
	c := launchChild(t, "migrate", path)
	if got := c.line(); got != "begin" {
		t.Fatalf("the child says %q", got)
	}
	begun := time.Now()
	killed := time.AfterFunc(d, func() { _ = c.cmd.Process.Kill() }) // unless it has ended
	defer killed.Stop()
	defer func() { _ = c.cmd.Wait() }() // says that it was killed
	switch got := c.line(); {
	case got == "open":
		_ = c.stdin.Close()
		return time.Since(begun)
	case got != "":
		t.Fatalf("the child says %q", got)
	}
	return 0
}

// stateOf says whether every migration was applied to the database, or only the first.
// Anything else fails the test.
func stateOf(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // only read, and the file goes
	var applied, releases int
	var verdict, tables string
	err = db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM schema_migrations),
		(SELECT count(*) FROM releases), (SELECT group_concat(integrity_check) FROM pragma_integrity_check),
		(SELECT group_concat(name) FROM sqlite_master WHERE type = 'table')`).Scan(&applied, &releases, &verdict, &tables)
	if err != nil || releases != oldReleases || verdict != "ok" {
		t.Fatalf("%s: %d releases, %q, %v", path, releases, verdict, err)
	}
	later := strings.Contains(tables, "secret_versions")
	switch {
	case applied == 1 && !later:
		return "old"
	case applied == len(schema(t)) && later:
		return "new"
	}
	t.Fatalf("%s is between: %d migrations, tables %s", path, applied, tables)
	return ""
}
