package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
	"leger.run/leger/migrations"
)

// sandbox is a database of its own that somebody's SQL runs in. The SQL can make tables and
// indexes and fill them, which is what a dump does. It reaches no other file: every action is
// asked for while SQLite compiles it, and what is not allowed here is refused. Views and
// triggers are passed over.
type sandbox struct {
	conn *conn
	// ours is set while statements of this package run, which may do anything.
	ours bool
	// passed are the views and triggers that were passed over, as "view NAME".
	passed []string
	// refused is the action that was refused last, in words.
	refused string
}

// Room that the database may take: D1 keeps indexes of what a dump holds once. The text
// cannot fill the disk with what it does not bring.
const (
	sandboxPage  = 4096
	sandboxRoom  = 64 << 20 // at least
	sandboxRatio = 8        // to the bytes of text
)

// createD1Migrations is how wrangler notes migrations.
const createD1Migrations = "CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE)"

func openSandbox(ctx context.Context, path string) (*sandbox, error) {
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	c, err := dial(ctx, path, []string{
		fmt.Sprintf("page_size=%d", sandboxPage), "journal_mode=MEMORY", "synchronous=OFF", "temp_store=MEMORY",
		"trusted_schema=OFF",
	})
	if err != nil {
		return nil, storageError(err)
	}
	s := &sandbox{conn: c}
	guarded, ok := c.raw.(sqlite.AuthorizerRegisterer)
	if !ok {
		err := leger.Errorf(leger.CodeInternal, "the driver's %T asks nobody what is allowed", c.raw)
		return nil, errors.Join(err, c.close())
	}
	if err := guarded.RegisterAuthorizer(s.authorize); err != nil {
		return nil, errors.Join(storageError(err), c.close())
	}
	return s, nil
}

// own runs statements of this package.
func (s *sandbox) own(run func() error) error {
	s.ours = true
	defer func() { s.ours = false }()
	return storageError(run())
}

// authorize implements sqlite.AuthorizerFn (https://sqlite.org/c3ref/set_authorizer.html).
func (s *sandbox) authorize(
	action sqlite.AuthorizerActionCode, first, second, _, _ string,
) sqlite.AuthorizerReturnCode {
	allowed := []sqlite.AuthorizerActionCode{
		sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete,
		sqlite.AuthCreateTable, sqlite.AuthCreateIndex, sqlite.AuthReindex, sqlite.AuthAnalyze,
	}
	switch {
	case s.ours, slices.Contains(allowed, action):
		return sqlite.AuthorizerOK
	case action == sqlite.AuthFunction && slices.Contains(dumpFunctions(), strings.ToLower(second)):
		return sqlite.AuthorizerOK
	case action == sqlite.AuthPragma && strings.HasSuffix(strings.ToLower(first), "foreign_keys"),
		// All of it is one transaction anyhow.
		action == sqlite.AuthTransaction && first != "ROLLBACK":
		return sqlite.AuthorizerIgnore
	case action == sqlite.AuthCreateView:
		s.passed = append(s.passed, "view "+first)
		return sqlite.AuthorizerIgnore
	case action == sqlite.AuthCreateTrigger:
		s.passed = append(s.passed, "trigger "+first)
		return sqlite.AuthorizerIgnore
	}
	s.refused = actionWords(action, first, second)
	return sqlite.AuthorizerDeny
}

// dumpFunctions are what dumps and the schema's default values call, and what somebody's own
// tables may have in a check: they make no more of a text than is in it, and do nothing else.
func dumpFunctions() []string {
	return []string{
		"char", "replace", "unistr", "unixepoch", "json_extract", "count", "max", "coalesce", "strftime",
		"current_timestamp", "current_time", "current_date", "like", "glob", "ifnull", "nullif", "lower", "upper",
		"length", "substr", "trim", "instr", "abs", "round", "json", "json_valid", "typeof",
	}
}

// actionWords says what was refused.
func actionWords(action sqlite.AuthorizerActionCode, first, second string) string {
	switch words := map[sqlite.AuthorizerActionCode]string{
		sqlite.AuthAttach: "ATTACH or VACUUM", sqlite.AuthDetach: "DETACH", sqlite.AuthTransaction: "ROLLBACK",
		sqlite.AuthRecursive: "a recursive query", sqlite.AuthCreateVTable: "CREATE VIRTUAL TABLE",
		sqlite.AuthAlterTable: "ALTER TABLE",
	}; {
	case words[action] != "":
		return words[action]
	case action == sqlite.AuthPragma:
		return "PRAGMA " + first
	case action == sqlite.AuthFunction:
		return "the function " + second
	}
	return fmt.Sprintf("an action of SQLite's number %d", action)
}

// migrate makes what a D1 database has after the migrations, which an export is run in; but
// no installation: one that was cut short brings none.
func (s *sandbox) migrate(ctx context.Context, steps []migrations.Migration) error {
	return s.own(func() error {
		if err := s.conn.script(ctx, createD1Migrations); err != nil {
			return err
		}
		for _, m := range steps {
			if err := s.conn.script(ctx, m.SQL); err != nil {
				return err
			}
			if _, err := s.conn.exec(ctx, `INSERT INTO d1_migrations (name) VALUES (?1)`, m.Name+".sql"); err != nil {
				return err
			}
		}
		return s.conn.script(ctx, "DELETE FROM installation")
	})
}

// run runs the text in one transaction. ErrInvalid says what is wrong with it.
func (s *sandbox) run(ctx context.Context, text *statements) error {
	if err := s.own(func() error { return s.conn.script(ctx, "BEGIN") }); err != nil {
		return err
	}
	room := int64(0)
	for {
		statement, line, err := text.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if text.read*sandboxRatio >= room {
			room = 2*text.read*sandboxRatio + sandboxRoom
			grow := fmt.Sprintf("PRAGMA max_page_count = %d", room/sandboxPage)
			if err := s.own(func() error { return s.conn.script(ctx, grow) }); err != nil {
				return err
			}
		}
		if err := s.conn.script(ctx, statement); err != nil {
			return s.explain(err, line)
		}
	}
	return s.own(func() error { return s.conn.script(ctx, "COMMIT") })
}

// explain gives the error of a statement: what the text is to blame for, and what the
// machine.
func (s *sandbox) explain(err error, line int) error {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return storageError(err)
	}
	switch failed.Code() & 0xff {
	case sqlite3.SQLITE_AUTH:
		return badDump("line %d has what is in no dump: %s", line, shown(s.refused))
	case sqlite3.SQLITE_FULL:
		return badDump("the disk is full, or line %d makes more data than the text holds", line)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_INTERRUPT:
		return storageError(err)
	}
	return badDump("line %d: %s", line, shown(failed.Error()))
}

// shown is a text of somebody's as an error may show it.
func shown(text string) string {
	const most = 200
	text = leger.PrintableText(text)
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// objects gives what is in the database, as "table users", sorted.
func objects(ctx context.Context, c *conn) (list []string, err error) {
	const query = `
SELECT type || ' ' || name FROM sqlite_master WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`
	err = c.query(ctx, query, nil, func(r *ledger.Row) { list = append(list, r.Text()) })
	return list, err
}

// columnsOf gives the names of a table's columns.
func (s *sandbox) columnsOf(ctx context.Context, table string) (names []string, err error) {
	err = s.own(func() error {
		return s.conn.query(ctx, `SELECT name FROM pragma_table_info(?1) ORDER BY cid`, []driver.Value{table},
			func(r *ledger.Row) { names = append(names, r.Text()) })
	})
	return names, err
}

func (s *sandbox) close() error { return s.conn.close() }
