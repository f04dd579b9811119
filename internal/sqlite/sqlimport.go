package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
	"leger.run/leger/migrations"
)

// Imported says what a dump was.
type Imported struct {
	Schema  int      // number of the newest migration that it has
	Epoch   int64    // of the installation in it
	Export  bool     // ExportSQL wrote it, else wrangler d1 export or a program like it
	LeftOut []string // tables, columns, views and triggers that are not Leger's, as "table NAME"
}

// Import makes the database at path, which must not exist, of SQL: of what ExportSQL wrote,
// or of a dump of a D1 database, of this schema or an older one. The database is migrated to
// the newest schema, and knows that it is a copy: whoever opens it begins a new epoch.
//
// The SQL runs in a sandbox beside path. From there rows of Leger's tables come over, column
// by column, and nothing else: no trigger, no view, no table or column that Leger does not know.
//
// ErrInvalid says what is wrong with the text; ErrConflict: a newer Leger wrote it. What is at
// path then, and beside it, is of no use.
func Import(
	ctx context.Context, from io.Reader, path string, now func() time.Time,
) (done Imported, err error) {
	known, err := migrations.All()
	if err != nil {
		return done, leger.Wrap(leger.CodeInternal, err, "read the schema")
	}
	box, err := openSandbox(ctx, path+".sandbox")
	if err != nil {
		return done, err
	}
	defer func() {
		err = errors.Join(err, storageError(box.close()), ignoreAbsent(os.Remove(path+".sandbox")))
	}()
	if done, err = box.fill(ctx, newStatements(from), known); err != nil {
		return done, err
	}
	target, err := Open(ctx, Config{Path: path, Now: now, Readers: 1, Migrations: known[:done.Schema]})
	if err != nil {
		return done, err
	}
	if err := target.Close(); err != nil {
		return done, err
	}
	if err := box.copyTo(ctx, path, &done); err != nil {
		return done, err
	}
	return done, finishImport(ctx, path, now, &done)
}

// finishImport migrates the database and marks it as a copy.
func finishImport(ctx context.Context, path string, now func() time.Time, done *Imported) error {
	store, err := Open(ctx, Config{Path: path, Now: now, Readers: 1})
	if err != nil {
		return err
	}
	in, err := store.Installation(ctx)
	if errors.Is(err, leger.ErrInternal) {
		err = badDump("it does not say which installation it belongs to: it is cut short, or damaged")
	}
	if err == nil {
		done.Epoch = in.Epoch
		_, err = store.engine.Write(ctx, ledger.SurvivesPowerLoss, []ledger.Statement{{Text: ledger.MarkCopy}})
	}
	return errors.Join(err, store.Close())
}

// fill runs the text in the sandbox, and finds out what it is.
func (s *sandbox) fill(
	ctx context.Context, text *statements, known []migrations.Migration,
) (done Imported, err error) {
	format, schema := 0, 0
	if n, _ := fmt.Sscanf(text.firstLine(), exportHead, &format, &schema); n == 2 {
		done.Export = true
		if format != exportFormat || schema > len(known) || schema < firstExported {
			return done, newerDump(fmt.Sprintf("format %d, schema %d", format, schema)) // or nobody did
		}
		if err := s.migrate(ctx, known[:schema]); err != nil {
			return done, err
		}
	}
	if err := s.run(ctx, text); err != nil {
		return done, err
	}
	done.Schema, err = s.schema(ctx, known)
	return done, err
}

func newerDump(what string) error {
	return leger.Errorf(leger.CodeConflict, "the SQL was written by a newer Leger than this one: %s", shown(what)).
		WithHint("install that version or a newer one")
}

// schema gives the number of the newest migration that the dump says it has.
func (s *sandbox) schema(ctx context.Context, known []migrations.Migration) (int, error) {
	columns, err := s.columnsOf(ctx, "d1_migrations")
	if err != nil {
		return 0, err
	}
	if !slices.Contains(columns, "name") {
		return 0, badDump("it does not say which migrations it has: it lacks the table d1_migrations")
	}
	applied := map[string]bool{}
	err = s.conn.query(ctx, `SELECT +name FROM d1_migrations`, nil, func(r *ledger.Row) {
		applied[strings.TrimSuffix(r.Text(), ".sql")] = true
	})
	if err != nil {
		return 0, badDump("its table d1_migrations cannot be read")
	}
	n := 0
	for n < len(known) && applied[known[n].Name] {
		delete(applied, known[n].Name)
		n++
	}
	others := slices.Sorted(maps.Keys(applied))
	for _, name := range others {
		digits, _, _ := strings.Cut(name, "_")
		if number, err := strconv.Atoi(digits); err == nil && number > len(known) {
			return 0, newerDump("its migration " + name)
		}
	}
	switch {
	case len(others) > 0:
		return 0, badDump("its migrations are not those of Leger: %s", shown(others[0]))
	case n == 0:
		return 0, badDump("it has no migration: it holds no data of Leger's")
	}
	return n, nil
}

// copyTo copies the rows of Leger's tables into the database at path, which has them already,
// empty, all or none.
func (s *sandbox) copyTo(ctx context.Context, path string, done *Imported) (err error) {
	to, err := dial(ctx, path, []string{"busy_timeout=5000", "foreign_keys=ON", "trusted_schema=OFF"})
	if err != nil {
		return storageError(err)
	}
	defer func() { err = errors.Join(err, storageError(to.close())) }()
	tables, err := movingTables(ctx, to)
	if err != nil {
		return err
	}
	if done.LeftOut, err = s.compare(ctx, to); err != nil {
		return err
	}
	if err := to.script(ctx, "BEGIN IMMEDIATE"); err != nil {
		return storageError(err)
	}
	for _, t := range slices.Backward(tables) {
		if err := to.script(ctx, t.deleteRows()); err != nil { // what its migration put there
			return storageError(err)
		}
	}
	for i := range tables {
		extra, err := s.copyTable(ctx, to, &tables[i])
		if err != nil {
			return err
		}
		done.LeftOut = append(done.LeftOut, extra...)
	}
	return storageError(to.script(ctx, "COMMIT"))
}

// compare holds what the dump made against what a database of its schema has: it must have
// all of it, the views in the end too, or it was cut short. It gives what else it made.
func (s *sandbox) compare(ctx context.Context, to *conn) (extra []string, err error) {
	want, err := objects(ctx, to)
	if err != nil {
		return nil, storageError(err)
	}
	var got []string
	err = s.own(func() (err error) {
		got, err = objects(ctx, s.conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	got = append(got, s.passed...)
	for _, name := range want {
		if name != "table schema_migrations" && !slices.Contains(got, name) {
			return nil, badDump("it lacks the %s: it is cut short, or was taken without a part", name)
		}
	}
	for _, name := range got {
		_, bare, _ := strings.Cut(name, " ")
		if !slices.Contains(want, name) && bare != "d1_migrations" && !strings.HasPrefix(bare, "_cf_") {
			extra = append(extra, name)
		}
	}
	return extra, nil
}

// copyTable copies the rows of a table, and gives the columns of the dump that Leger does
// not know.
func (s *sandbox) copyTable(ctx context.Context, to *conn, t *table) (extra []string, err error) {
	there, err := s.columnsOf(ctx, t.name)
	if err != nil {
		return nil, err
	}
	for _, c := range t.columns {
		if !slices.Contains(there, c.name) {
			return nil, badDump("its table %s lacks the column %s", t.name, c.name)
		}
	}
	for _, name := range there {
		if !slices.ContainsFunc(t.columns, func(c column) bool { return c.name == name }) {
			extra = append(extra, "column "+name+" of the table "+t.name)
		}
	}
	var failed error
	insert := t.insertRow()
	err = s.conn.query(ctx, t.selectRows(), nil, func(r *ledger.Row) {
		if failed != nil {
			return
		}
		if failed = t.fit(r.Values); failed == nil {
			_, err := to.exec(ctx, insert, r.Values...)
			failed = rowError(t, err)
		}
	})
	if err != nil {
		err = badDump("its table %s cannot be read: %s", t.name, shown(err.Error()))
	}
	return extra, errors.Join(failed, err)
}

// rowError gives the error of a row that was not taken. SQLite names columns, and no value.
func rowError(t *table, err error) error {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if ok && failed.Code()&0xff == sqlite3.SQLITE_CONSTRAINT {
		return badDump("a row of its table %s does not fit: %s", t.name, shown(failed.Error()))
	}
	return storageError(err)
}

// fit makes the values of a row those that the columns hold.
func (t *table) fit(values []driver.Value) error {
	for i, c := range t.columns {
		text, isText := values[i].(string)
		_, isNumber := values[i].(int64)
		whole, isFloat := values[i].(float64)
		switch {
		case values[i] == nil:
		case c.kind == "INTEGER":
			if isFloat && whole == float64(int64(whole)) { // JavaScript knows no other number
				values[i], isNumber = int64(whole), true
			}
			if !isNumber {
				return badDump("a row of its table %s has no whole number in the column %s", t.name, c.name)
			}
		case !isText:
			return badDump("a row of its table %s has no text in the column %s", t.name, c.name)
		case c.kind == "JSON" && text != "" && !json.Valid([]byte(text)):
			return badDump("a row of its table %s has no JSON in the column %s", t.name, c.name)
		}
	}
	return nil
}
