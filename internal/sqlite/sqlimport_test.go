package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
)

// dumped writes a database as wrangler d1 export does: tables in the order of their making
// with their rows, then indexes, triggers and views. (miniflare's dumpSql.ts, which is D1's.)
func dumped(t testing.TB, db *sql.DB) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("PRAGMA defer_foreign_keys=TRUE;\n")
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	const tables = `SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT NULL
		ORDER BY tbl_name = 'sqlite_sequence', rowid`
	each(t, db, tables, func(cells []string) {
		table := cells[0]
		switch {
		case table == "sqlite_sequence":
			b.WriteString("DELETE FROM sqlite_sequence;\n")
		case strings.HasPrefix(table, "sqlite_stat"):
			b.WriteString("ANALYZE sqlite_schema;\n")
		case strings.HasPrefix(table, "_cf_"):
			return
		default:
			b.WriteString(cells[1] + ";\n")
		}
		var names, literals []string
		each(t, db, `SELECT name, type FROM pragma_table_info('`+table+`')`, func(cells []string) {
			names = append(names, quoted(cells[0]))
			literals = append(literals, literal(quoted(cells[0])))
		})
		list := strings.Join(names, ",")
		each(t, db, `SELECT `+strings.Join(literals, "||','||")+` FROM `+quoted(table), func(cells []string) {
			fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES(%s);\n", quoted(table), list, cells[0])
		})
	})
	const others = `SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view')
		ORDER BY type`
	each(t, db, others, func(cells []string) { b.WriteString(cells[0] + ";\n") })
	return b.String()
}

// literal is an SQL expression for what the dump writes of a cell. A text with line breaks
// is put together from char.
func literal(column string) string {
	return fmt.Sprintf(`CASE WHEN instr(%[1]s, char(10)) OR instr(%[1]s, char(13)) THEN
		'replace(replace(' || replace(replace(quote(%[1]s), char(10), '\n'), char(13), '\r')
			|| ',''\r'',char(13)),''\n'',char(10))'
		ELSE quote(%[1]s) END`, column)
}

func each(t testing.TB, db *sql.DB, query string, row func(cells []string)) {
	t.Helper()
	for _, cells := range cellsOf(t, db, query) { // there is one connection
		row(cells)
	}
}

func cellsOf(t testing.TB, db *sql.DB, query string) (all [][]string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		cells, into := make([]string, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, cells)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// fromCloudflare is a D1 database in which an export was run.
func fromCloudflare(t testing.TB) *sql.DB {
	t.Helper()
	_, s := full(t)
	db := d1(t, schema(t))
	if err := execute(t, db, exported(t, s)); err != nil {
		t.Fatal(err)
	}
	// What comes from JavaScript is UTF-8 without NUL; and of a text with both line breaks and
	// the two characters \n wrangler's dump does not say which is which.
	for _, column := range []string{"releases.description", "release_versions.description", "audit_log.detail"} {
		table, name, _ := strings.Cut(column, ".")
		runSQL(t, db, fmt.Sprintf(`UPDATE %[1]s SET %[2]s = 'other'
			WHERE instr(%[2]s, '\n') OR instr(%[2]s, char(0)) OR instr(hex(%[2]s), 'FFFE')`, table, name))
	}
	return db
}

func imports(t testing.TB, text string) (path string, done sqlite.Imported, err error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "leger.db")
	done, err = sqlite.Import(t.Context(), strings.NewReader(text), path, start)
	return path, done, err
}

// What Cloudflare's database held is what the server's holds, and the server begins a new
// epoch on it.
func TestDumpIsImported(t *testing.T) {
	t.Parallel()
	db := fromCloudflare(t)
	path, done, err := imports(t, dumped(t, db))
	if err != nil {
		t.Fatal(err)
	}
	if len(done.LeftOut) != 0 || done.Export || done.Schema != len(schema(t)) {
		t.Errorf("%+v", done)
	}
	sameRows(t, raw(t, path), db)
	s := open(t, sqlite.Config{Path: path})
	if in := installation(t, s); in.Epoch <= done.Epoch {
		t.Errorf("the epoch is %d after %d", in.Epoch, done.Epoch)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(path + ".sandbox*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if n := rowsOf(t, raw(t, path), `SELECT * FROM sessions`); len(n) != 0 {
		t.Errorf("sessions came along: %s", n)
	}
}

// An export needs no Cloudflare between two servers.
func TestExportIsImported(t *testing.T) {
	t.Parallel()
	from, s := full(t)
	path, done, err := imports(t, exported(t, s))
	if err != nil || !done.Export || len(done.LeftOut) != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	sameRows(t, raw(t, path), raw(t, from))
}

// What somebody added to the database stays there: a trigger would run at every write.
func TestOnlyWhatIsLegersComesAlong(t *testing.T) {
	t.Parallel()
	db := fromCloudflare(t)
	want := rowsOf(t, db, "SELECT * FROM spent_tokens")
	runSQL(t, db, `CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine'); CREATE INDEX notes_text ON notes(text);
		ALTER TABLE spent_tokens ADD COLUMN shoe_size INTEGER;
		ALTER TABLE spent_tokens ADD COLUMN loud AS (upper(jti));
		CREATE VIEW everybody AS SELECT * FROM users;
		CREATE TRIGGER spy AFTER INSERT ON spent_tokens BEGIN
			INSERT INTO notes VALUES (new.jti); DELETE FROM users;
		END;
		ANALYZE`)
	path, done, err := imports(t, dumped(t, db))
	if err != nil {
		t.Fatal(err)
	}
	wants := []string{
		"column shoe_size of the table spent_tokens", "index notes_text", "table notes", "trigger spy", "view everybody",
	}
	if slices.Sort(done.LeftOut); !slices.Equal(done.LeftOut, wants) {
		t.Errorf("left out: %q", done.LeftOut)
	}
	made := raw(t, path)
	if got := rowsOf(t, made, "SELECT * FROM spent_tokens"); !slices.Equal(got, want) {
		t.Errorf("spent tokens: %s, want %s", got, want)
	}
	const theirs = `SELECT name FROM sqlite_master WHERE name IN ('notes', 'notes_text', 'everybody', 'spy')`
	if got := rowsOf(t, made, theirs); len(got) != 0 {
		t.Errorf("came along: %s", got)
	}
	if got := rowsOf(t, made, `SELECT 1 FROM users`); len(got) != 1 {
		t.Errorf("%d users: a trigger ran", len(got))
	}
}

// A Worker that was not deployed for long has an older schema.
func TestOlderDumpIsMigrated(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 8, 13} {
		db := d1(t, schema(t)[:n])
		runSQL(t, db, `INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet)
			VALUES (?, 'u1', 'alice@github', 'x')`, owner().UserID().String())
		path, done, err := imports(t, dumped(t, db))
		if err != nil || done.Schema != n || len(done.LeftOut) != 0 {
			t.Fatalf("schema %d: %+v, %v", n, done, err)
		}
		s := open(t, sqlite.Config{Path: path})
		if users, err := s.CountUsers(t.Context()); err != nil || users != 1 {
			t.Errorf("schema %d: %d users, %v", n, users, err)
		}
		if in := installation(t, s); in.Epoch <= done.Epoch {
			t.Errorf("schema %d: the epoch is %d after %d", n, in.Epoch, done.Epoch)
		}
	}
}

// wantBad checks that the text is refused, with words and a hint.
func wantBad(t *testing.T, what, text string, code leger.Code, says string) {
	t.Helper()
	_, _, err := imports(t, text)
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, says) || e.Hint == "" {
		t.Errorf("%s: %v", what, err)
	}
}

func TestBadDumpsAreRefused(t *testing.T) {
	t.Parallel()
	db := fromCloudflare(t)
	text := dumped(t, db)
	edit := func(old, edited string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("the dump has no %q", old)
		}
		return strings.Replace(text, old, edited, 1)
	}
	last := fmt.Sprintf("'%s.sql'", schema(t)[len(schema(t))-1].Name)
	const machines = `INSERT INTO "machines"`
	before := func(sql string) string { return edit(machines, sql+"; "+machines) }
	for what, c := range map[string]struct{ text, says string }{
		"nothing":         {"", "lacks the table d1_migrations"},
		"words":           {"hello, world", "cut short"},
		"a sentence":      {"hello world;", `line 1: SQL logic error: near "hello": syntax error`},
		"a database":      {contents(t, open1(t)), "it is no SQL text"},
		"not UTF-8":       {"SELECT '\xff';", "not UTF-8"},
		"another's":       {"CREATE TABLE d1_migrations (name); CREATE TABLE x (y);", "no migration"},
		"other steps":     {edit(last, "'0002_hello.sql'"), "not those of Leger"},
		"a table away":    {strings.ReplaceAll(text, "spent_tokens", "spend_tokens"), "lacks the table spent_tokens"},
		"a column away":   {strings.ReplaceAll(text, "jti", "jtj"), "lacks the column jti"},
		"a view away":     {edit("CREATE VIEW secret_records", "CREATE VIEW secret_record"), "lacks the view secret_records"},
		"an open quote":   {text + "INSERT INTO users VALUES ('x", "cut short"},
		"no user":         {before("DELETE FROM users"), "FOREIGN KEY constraint failed"},
		"a wrong number":  {before("UPDATE secrets SET version = 'two'"), "no whole number in the column version"},
		"a BLOB":          {before("UPDATE users SET tailnet = x'00'"), "no text in the column tailnet"},
		"no JSON":         {before("UPDATE deployments SET units = '['"), "no JSON in the column units"},
		"an orphan":       {before("UPDATE releases SET user_uuid = 'x'"), "FOREIGN KEY constraint failed"},
		"no installation": {before("DELETE FROM installation"), "which installation"},
		"two of a kind": {
			edit("    jti TEXT PRIMARY KEY,\n    expires_at TEXT NOT NULL\n) WITHOUT ROWID;",
				"    jti TEXT, expires_at); INSERT INTO spent_tokens VALUES ('j1', 'x');"),
			"a row of its table spent_tokens does not fit: constraint failed: UNIQUE",
		},
	} {
		wantBad(t, what, c.text, leger.CodeInvalid, c.says)
	}
	newer := before("INSERT INTO d1_migrations (name) VALUES ('9999_future.sql')")
	wantBad(t, "newer", newer, leger.CodeConflict, "9999_future")
	wantBad(t, "a newer export", "-- leger-server export 1: schema 99\n", leger.CodeConflict, "schema 99")
	wantBad(t, "a newer format", "-- leger-server export 2: schema 1\n", leger.CodeConflict, "format 2")
}

// open1 is the path of a small database, closed.
func open1(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "leger.db")
	if err := mustOpen(t, sqlite.Config{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Wherever a dump or an export ends too early, it is refused.
func TestCutDumpsAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db"), Now: start})
	mustPut(t, s, account(t, s), "key", 0, "value")
	export := exported(t, s)
	db := d1(t, schema(t))
	if err := execute(t, db, export); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"export": export, "dump": dumped(t, db)} {
		lines := strings.SplitAfter(text, "\n")
		// Without its last statement an export lacks only what makes its epoch the higher.
		for n := 0; n < len(lines)-2; n += 3 {
			if _, _, err := imports(t, strings.Join(lines[:n], "")); leger.CodeOf(err) != leger.CodeInvalid {
				t.Errorf("%s of %d lines instead of %d: %v", what, n, len(lines), err)
			}
		}
	}
}

// SQL of somebody else's reaches no file, and nothing of the process.
func TestSandboxHolds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for _, text := range []string{
		"ATTACH '" + out + "' AS o; CREATE TABLE o.t (x);", "VACUUM INTO '" + out + "';", "VACUUM;", "DETACH main;",
		"PRAGMA writable_schema = ON;", "PRAGMA journal_mode = WAL;", "PRAGMA temp_store_directory = '" + dir + "';",
		"PRAGMA max_page_count = 1000000000;", "PRAGMA trusted_schema = ON;", "SELECT * FROM pragma_writable_schema(1);",
		"SELECT load_extension('" + out + "');", "SELECT readfile('/etc/passwd');", "SELECT writefile('" + out + "', 'x');",
		"SELECT fts3_tokenizer('x', x'00');", "SELECT randomblob(1000000000);", "SELECT hex(zeroblob(1000000000));",
		"CREATE VIRTUAL TABLE t USING fts5(x);", "CREATE TEMP TABLE t (x);", "CREATE TEMP VIEW v AS SELECT 1;",
		"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r;",
		"INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, '');", "ROLLBACK;", "SAVEPOINT s;",
		"CREATE TABLE t (x); ALTER TABLE t RENAME TO u;", "CREATE TABLE t (x, y AS (load_extension(x)));",
		"CREATE TABLE t (x DEFAULT (load_extension('x'))); INSERT INTO t DEFAULT VALUES;",
		"CREATE TABLE t (x); CREATE INDEX i ON t (printf('%x', x)); INSERT INTO t VALUES (1);",
		"EXPLAIN SELECT printf(1);",
	} {
		_, _, err := imports(t, text)
		if leger.CodeOf(err) != leger.CodeInvalid || strings.Contains(err.Error(), "d1_migrations") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files: %v, %v", left, err)
	}
}

// A short text cannot fill the disk.
func TestSandboxHasNoMoreRoomThanTheTextNeeds(t *testing.T) {
	t.Parallel()
	text := "CREATE TABLE t (x); INSERT INTO t VALUES ('" + strings.Repeat("x", 1<<20) + "');\n" +
		strings.Repeat("INSERT INTO t SELECT x FROM t;\n", 20)
	wantBad(t, "doubled", text, leger.CodeInvalid, "makes more data than the text holds")
	wantBad(t, "long", "SELECT '"+strings.Repeat("x", 9<<20), leger.CodeInvalid, "longer than any of a dump")
}

// Somebody who gives up waits no longer.
func TestImportIsGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	endless := io.MultiReader(strings.NewReader("CREATE TABLE t (x);\n"), readerFunc(func(p []byte) (int, error) {
		cancel()
		return copy(p, "INSERT INTO t VALUES (1);\n"), nil
	}))
	_, err := sqlite.Import(ctx, endless, filepath.Join(t.TempDir(), "leger.db"), start)
	if leger.CodeOf(err) != leger.CodeUnavailable {
		t.Error(err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Whatever is imported, there is a good database then, or an error with words; and no file
// but what is beside the database. A whole dump would take too long for a fuzz test: the
// tests above cut and change one.
func FuzzImport(f *testing.F) {
	f.Add("CREATE TABLE d1_migrations (name); INSERT INTO d1_migrations VALUES ('0001_initial.sql');\n" +
		"CREATE TABLE users (user_uuid); CREATE VIEW v AS SELECT 1; ANALYZE;")
	f.Add("PRAGMA defer_foreign_keys=TRUE; BEGIN; INSERT INTO t VALUES (x'00', replace('a\\n','\\n',char(10)), 9e999); COMMIT;")
	f.Add("CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END; ATTACH 'x' AS y; VACUUM INTO 'z';")
	f.Fuzz(func(t *testing.T, text string) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		path := filepath.Join(t.TempDir(), "leger.db")
		_, err := sqlite.Import(ctx, strings.NewReader(text), path, start)
		var e *leger.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%T %v", err, err)
		}
		if err == nil {
			open(t, sqlite.Config{Path: path})
		}
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		if slices.ContainsFunc(files, func(f string) bool { return !strings.HasPrefix(f, path) }) {
			t.Errorf("files: %q", files)
		}
	})
}
