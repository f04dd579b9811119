package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/migrations"
)

func schema(t testing.TB) []migrations.Migration {
	t.Helper()
	all, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The oldest database there can be is the specification's: only its tables, with
// rows as another program wrote them.
func TestOlderDatabaseIsCopiedAndMigrated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	if err := mustOpen(t, sqlite.Config{Path: path, Migrations: schema(t)[:1]}).Close(); err != nil {
		t.Fatal(err)
	}
	user := owner().UserID()
	const release = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
	execSQL(t, path, `INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet, created_at)
		VALUES (?, 'u1', 'alice@github', 'example.ts.net', '2025-01-02 03:04:05')`, user.String())
	execSQL(t, path, `INSERT INTO releases (id, user_uuid, name, git_url, version, created_at, updated_at)
		VALUES (?, ?, 'Web', 'https://git.example.com/web', 3, '2025-01-02 03:04:05', '2025-02-03 04:05:06')`, release, user.String())

	s := open(t, sqlite.Config{Path: path})
	r, err := s.Release(t.Context(), user, release)
	if err != nil || r.Version != 3 || r.GitRef.String() != "main" || r.UpdatedAt.Format("2006-01-02T15:04:05Z07:00") != "2025-02-03T04:05:06Z" {
		t.Errorf("release = %+v, %v", r, err)
	}
	versions, err := s.ReleaseVersions(t.Context(), user, release)
	if err != nil || len(versions) != 1 || versions[0].Version != 3 || !versions[0].CreatedAt.Equal(r.UpdatedAt) {
		t.Errorf("history = %+v, %v", versions, err)
	}
	r.ID, r.Name = strings.Replace(release, "7", "8", 1), mustName(t, "WEB")
	if err := s.CreateRelease(t.Context(), r, leger.AuditEvent{}); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("a release whose name differs only in case: %v", err)
	}
	mustPut(t, s, user, "key", 0, "x")

	copied := path + ".before-0002"
	wantMode(t, copied, 0o600)
	old := open(t, sqlite.Config{Path: copied, Migrations: schema(t)[:1]})
	if n, err := old.CountUsers(t.Context()); err != nil || n != 1 {
		t.Errorf("the copy has %d accounts, %v", n, err)
	}
}

// What a machine reported to a server that knew no findings is there as it was,
// until its next report.
func TestDeploymentsOfBeforeFindingsStay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	if err := mustOpen(t, sqlite.Config{Path: path, Migrations: schema(t)[:6]}).Close(); err != nil {
		t.Fatal(err)
	}
	user := owner().UserID()
	const at = "2025-01-02T03:04:05Z"
	execSQL(t, path, `INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet, created_at)
		VALUES (?, 'u1', 'alice@github', 'example.ts.net', ?)`, user.String(), at)
	execSQL(t, path, `INSERT INTO hosts VALUES (?, 'n1', 'box', '0.1.0', '', '', ?, ?)`, user.String(), at, at)
	execSQL(t, path, `INSERT INTO deployments VALUES (?, 'n1', 'web', 'Web', 2, '', 'failed', ?, ?, '[{"name":"web.service","state":"failed"}]')`,
		user.String(), at, at)

	host, err := open(t, sqlite.Config{Path: path}).Host(t.Context(), user, "n1")
	if err != nil || len(host.Deployments) != 1 {
		t.Fatalf("machine: %+v, %v", host, err)
	}
	d := host.Deployments[0]
	if d.State != leger.HostFailed || len(d.Units) != 1 || d.Generation != 0 || d.Health != "" || len(d.Findings) != 0 || !d.ReportedAt.IsZero() {
		t.Errorf("deployment: %+v", d)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	all := schema(t)
	newer := append(slices.Clip(all), migrations.Migration{
		Number: len(all) + 1, Name: "9999_from_the_future", SQL: "CREATE TABLE future (x)",
	})
	if err := mustOpen(t, sqlite.Config{Path: path, Migrations: newer}).Close(); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeConflict || !strings.Contains(e.Message, "9999_from_the_future") || e.Hint == "" {
		t.Fatalf("error = %v", err)
	}
	if contents(t, path) != before {
		t.Error("the refused database was changed")
	}
	if err := mustOpen(t, sqlite.Config{Path: path, Migrations: newer}).Close(); err != nil {
		t.Errorf("the newer Leger, after the refusal: %v", err)
	}
}

func TestFailedMigrationChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	all := schema(t)
	old, broken := all[:2], append(slices.Clip(all[:3]), migrations.Migration{Number: 4, Name: "0004_broken", SQL: "CREATE TABLE t (x); CREATE TABLE users (x);"})
	s := mustOpen(t, sqlite.Config{Path: path, Migrations: old})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Migrations: broken})
	var e *leger.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, path+".before-0003") {
		t.Fatalf("error = %v, hint %q", err, e.Hint)
	}
	var applied, tables int
	if err := raw(t, path).QueryRowContext(t.Context(),
		`SELECT (SELECT count(*) FROM schema_migrations), (SELECT count(*) FROM sqlite_master WHERE name IN ('t', 'sessions'))`).Scan(&applied, &tables); err != nil {
		t.Fatal(err)
	}
	if applied != 2 || tables != 0 {
		t.Errorf("%d migrations applied, %d of their tables", applied, tables)
	}
	open(t, sqlite.Config{Path: path}) // a second try, over the copy that the first left
}

func TestForeignFilesAreRefused(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	execSQL(t, foreign, "CREATE TABLE recipes (x)")
	for path, code := range map[string]leger.Code{text: leger.CodeUnavailable, foreign: leger.CodeConflict} {
		_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, path) || e.Hint == "" {
			t.Errorf("%s: error = %v", filepath.Base(path), err)
		}
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{}); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("no path: %v", err)
	}
}

func TestBackupIsAWholeCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, sqlite.Config{Path: filepath.Join(dir, "leger.db")})
	user := account(t, s)
	mustPut(t, s, user, "key", 0, "kept")
	target := filepath.Join(dir, "it's a copy.db")
	if err := s.Backup(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, user, "key", 1, "later")
	if err := s.Backup(t.Context(), target); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("a second copy of the same name: %v", err)
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "absent", "copy.db")); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("a copy into a directory that is not there: %v", err)
	}
	got, err := open(t, sqlite.Config{Path: target}).SealedSecret(t.Context(), user, name(t, "key"))
	if err != nil || string(got.Ciphertext) != "kept" {
		t.Errorf("in the copy: version %d, %v", got.Version, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.partial")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func execSQL(t *testing.T, path, text string, args ...any) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustName(t *testing.T, s string) leger.ReleaseName {
	t.Helper()
	n, err := leger.ParseReleaseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
