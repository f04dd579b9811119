package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger/internal/sqlite"
	"leger.run/leger/migrations"
)

// d1 is a database as wrangler d1 migrations apply leaves one.
func d1(t testing.TB, steps []migrations.Migration) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d1.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	// D1 checks references always, and keeps a table of its own.
	runSQL(t, db, `PRAGMA foreign_keys = ON; CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB);
		INSERT INTO _cf_METADATA VALUES (2, 49);
		CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,
			applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`)
	for _, m := range steps {
		runSQL(t, db, m.SQL)
		runSQL(t, db, `INSERT INTO d1_migrations (name) VALUES (?)`, m.Name+".sql")
	}
	return db
}

func runSQL(t testing.TB, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
}

// execute runs SQL as D1 does: all of it or nothing.
func execute(t testing.TB, db *sql.DB, text string) error {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), text); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

func rowsOf(t testing.TB, db *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%#v", cells))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// moved are the tables that move.
func moved() []string {
	return []string{
		"users", "secrets", "secret_versions", "releases", "release_versions", "configurations", "spent_tokens",
		"sign_outs", "hosts", "host_secrets", "deployments", "machines", "invitations", "audit_log", "audit_heads",
		"audit_chain",
	}
}

// sameRows compares what moved, but for the installation's epoch.
func sameRows(t testing.TB, got, want *sql.DB) {
	t.Helper()
	for _, table := range moved() {
		g, w := rowsOf(t, got, "SELECT * FROM "+table), rowsOf(t, want, "SELECT * FROM "+table)
		if !slices.Equal(g, w) {
			t.Errorf("%s: %d rows, want %d, or they differ:\n%.2000s\n%.2000s", table, len(g), len(w), g, w)
		}
	}
	const id = "SELECT installation_id, pruned_at FROM installation"
	if g, w := rowsOf(t, got, id), rowsOf(t, want, id); !slices.Equal(g, w) {
		t.Errorf("the installation is %s, want %s", g, w)
	}
}

// awkward are texts that a program on the way could read otherwise.
func awkward() []string {
	return []string{
		"it's ''quoted''", "line\nbreak\r\nand\ttab", "\\n and \n", "nul\x00in it", "not UTF-8 \xff\xfe",
		"\u2028 \ufeff", "日本語 🗝 é", "BEGIN TRANSACTION; x COMMIT;", "-- no comment", "?1 :a @b $c", "",
		"/* nor this */; DROP TABLE users;", "12345678901234567890", "1e3",
		strings.Repeat("🗝'", 30_000), strings.Repeat("'", 90_000), strings.Repeat("\n", 90_000),
	}
}

// full is a database with rows in every table that moves, and some that stay.
func full(t testing.TB) (path string, s *sqlite.Store) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "leger.db")
	s = open(t, sqlite.Config{Path: path, Now: start})
	user := account(t, s)
	for i, value := range []string{"small", "x", strings.Repeat("v", 64<<10)} {
		mustPut(t, s, user, fmt.Sprintf("s%d", i), 0, value)
	}
	mustPut(t, s, user, "s1", 1, "second")
	db := raw(t, path)
	u := user.String()
	for i, text := range awkward() {
		id := fmt.Sprintf("r%02d", i)
		runSQL(t, db, `INSERT INTO releases (id, user_uuid, name, name_key, git_url, description, version)
			VALUES (?, ?, ?, ?, 'https://x.example', ?, 1)`, id, u, id, id, text)
		runSQL(t, db, `INSERT INTO release_versions
			VALUES (?, 1, ?, 'https://x.example', 'main', '', ?, '2026')`, id, id, text)
		runSQL(t, db, `INSERT INTO audit_log
			VALUES (NULL, '2026', ?, 'x', ?, 0, 0, 'none', '', '', '', ?, NULL, '')`, u, id, text)
	}
	units := `[{"name":"` + strings.Repeat("u", 500<<10) + `","state":"running"}]`
	runSQL(t, db, `INSERT INTO hosts VALUES (?, 'd1', 'box', '', '', '', '2026', '2026')`, u)
	runSQL(t, db, `INSERT INTO host_secrets VALUES (?, 'd1', 's1', 2, '2026')`, u)
	runSQL(t, db, `INSERT INTO deployments (user_uuid, device_id, release_key, release, version, git_commit, state,
			installed_at, updated_at, units)
		VALUES (?, 'd1', 'web', 'Web', 1, '', 'running', '2026', '2026', ?)`, u, units)
	runSQL(t, db, `INSERT INTO machines
		VALUES ('m1', ?, 'box', 'root', 'd1', 'full', '["a"]', 'key', '', 'token', '2026', '', '2026', '')`, u)
	runSQL(t, db, `INSERT INTO invitations VALUES ('i1', ?, 'hash', 'box', 'full', '[]', '2026', '2026')`, u)
	runSQL(t, db, `INSERT INTO configurations VALUES ('c1', ?, '{}', '1', 1, '2026-01-02 03:04:05')`, u)
	runSQL(t, db, `INSERT INTO spent_tokens VALUES ('j1', '2027'); INSERT INTO sign_outs VALUES ('gone', '2026')`)
	runSQL(t, db, `INSERT INTO audit_heads VALUES (?, 0, '', 1, 'x', 'y')`, u)
	runSQL(t, db, auditKey)
	runSQL(t, db, `INSERT INTO sessions VALUES ('canary-session', 's', ?, '2026', '2026', '2027', '', '')`, u)
	runSQL(t, db, `INSERT INTO enrolments
		VALUES ('canary-code', 'p', 'box', 'root', '', 'k', '', '2026', '', '2027', NULL)`)
	return path, s
}

// auditKey is what the first request to a Worker makes.
const auditKey = `INSERT INTO audit_chain (id, key_id, nonce, sealed_key, made_at) VALUES (1, 'k', 'n', 's', '2026')`

func exported(t testing.TB, s *sqlite.Store) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.ExportSQL(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What a migrated, empty D1 database is after the export is what the server had: every row
// of every table that moves, whatever is in it, and no statement longer than D1 takes.
func TestExportedRowsAreTheSame(t *testing.T) {
	t.Parallel()
	path, s := full(t)
	text := exported(t, s)
	if strings.Contains(text, "canary-") {
		t.Error("sessions or enrolments are in the export")
	}
	const most = 100_000 // https://developers.cloudflare.com/d1/platform/limits/
	for i, statement := range strings.SplitAfter(text, ";\n") {
		if len(statement) > most {
			t.Errorf("statement %d has %d bytes", i, len(statement))
		}
	}
	other := d1(t, schema(t))
	if err := execute(t, other, text); err != nil {
		t.Fatal(err)
	}
	sameRows(t, other, raw(t, path))
	var epoch, former int64
	for db, to := range map[*sql.DB]*int64{other: &epoch, raw(t, path): &former} {
		if err := db.QueryRowContext(t.Context(), "SELECT epoch FROM installation").Scan(to); err != nil {
			t.Fatal(err)
		}
	}
	if epoch <= former || epoch < time.Now().Unix()-60 {
		t.Errorf("the epoch is %d after %d", epoch, former)
	}
}

// An export changes nothing where it does not belong, and the error says why in words.
func TestExportRefusesOtherDatabases(t *testing.T) {
	t.Parallel()
	_, s := full(t)
	text := exported(t, s)
	all := schema(t)
	used := d1(t, all)
	if err := execute(t, used, text); err != nil {
		t.Fatal(err)
	}
	begun := d1(t, all) // a Worker made the key of its audit log
	runSQL(t, begun, auditKey)
	next := migrations.Migration{Number: len(all) + 1, Name: "9999_future", SQL: "CREATE TABLE future (x)"}
	newer := append(slices.Clip(all), next)
	bare := d1(t, nil)
	runSQL(t, bare, "DROP TABLE d1_migrations")
	for what, c := range map[string]struct {
		db   *sql.DB
		says string
	}{
		"used": {used, "this database is not empty"}, "begun": {begun, "this database is not empty"},
		"older": {d1(t, all[:len(all)-1]), "has not the schema of the export"},
		"newer": {d1(t, newer), "has not the schema of the export"}, "bare": {bare, "has no tables of Leger yet"},
	} {
		const counts = `SELECT group_concat(name) FROM sqlite_master`
		before := rowsOf(t, c.db, counts)
		err := execute(t, c.db, text)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: %v", what, err)
		}
		if after := rowsOf(t, c.db, counts); !slices.Equal(after, before) {
			t.Errorf("%s: it was changed", what)
		}
	}
	if got := rowsOf(t, begun, `SELECT 1 FROM users`); len(got) != 0 {
		t.Errorf("the refused export left %d users", len(got))
	}
	if got := rowsOf(t, used, `SELECT 1 FROM users`); len(got) != 1 {
		t.Errorf("after the second export there are %d users", len(got))
	}
}
