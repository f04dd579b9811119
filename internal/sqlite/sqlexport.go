package sqlite

import (
	"bufio"
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
)

// exportFormat is the version of the SQL that ExportSQL writes.
const exportFormat = 1

// firstExported is the oldest schema that was ever exported.
const firstExported = 15

// exportHead begins an export; the numbers are its format and that of the newest migration.
const exportHead = "-- leger-server export %d: schema %d"

// What one statement may be. D1 takes 100,000 bytes of text
// (https://developers.cloudflare.com/d1/platform/limits/).
const (
	maxExportStatement = 90_000
	maxExportRows      = 100    // of one INSERT, for the sake of its compiled program
	maxInlineText      = 2_000  // a longer text is added in pieces: twenty such columns still fit
	maxTextPiece       = 40_000 // bytes of text, of which quotes or hexadecimals make twice as many
)

// ExportSQL writes the database as SQL for a D1 database that is migrated to the same schema
// and empty, and refuses any other when it is run. The rows of tables that stay are left out:
// browsers' sessions and what else lives minutes. The installation begins a new epoch where
// the SQL is run.
//
// It opens nothing: sealed values and the sealed key of the audit log go as they are.
func (s *Store) ExportSQL(ctx context.Context, to io.Writer) error {
	return s.engine.readers.with(ctx, func(*conn) error { // keeps Close waiting
		c, err := dial(ctx, s.path, []string{"busy_timeout=5000", "query_only=ON", "trusted_schema=OFF"})
		if err != nil {
			return err
		}
		return errors.Join(exportSQL(ctx, c, to), c.close())
	})
}

// exportSQL reads in one transaction: one state of the database.
func exportSQL(ctx context.Context, c *conn, to io.Writer) error {
	if err := c.script(ctx, "BEGIN"); err != nil {
		return err
	}
	tables, err := movingTables(ctx, c)
	if err != nil {
		return err
	}
	number, name := int64(0), ""
	const newest = `SELECT number, name FROM schema_migrations ORDER BY number DESC LIMIT 1`
	err = c.query(ctx, newest, nil, func(r *ledger.Row) { number, name = r.Integer(), r.Text() })
	if err != nil {
		return err
	}
	w := &sqlWriter{to: bufio.NewWriterSize(to, 1<<16)}
	w.head(number, name)
	for _, t := range slices.Backward(tables) {
		w.statement(t.deleteRows()) // what a migration may have put there
	}
	for i := range tables {
		w.table = &tables[i]
		err := c.query(ctx, w.table.selectRows(), nil, func(r *ledger.Row) { w.row(r.Values) })
		w.flush()
		if err := errors.Join(err, w.err); err != nil {
			return err
		}
	}
	w.statement(`UPDATE installation SET epoch = max(epoch, unixepoch()), is_copy = 0`)
	if err := errors.Join(w.err, w.to.Flush()); err != nil {
		return writeError(err)
	}
	return c.script(ctx, "COMMIT")
}

func writeError(err error) error {
	if _, known := errors.AsType[*leger.Error](err); known {
		return err
	}
	return leger.WrapFile(leger.CodeUnavailable, err, "write the export")
}

// sqlWriter writes statements, none longer than D1 takes. err is what went wrong first.
type sqlWriter struct {
	to  *bufio.Writer
	err error

	table   *table
	pending []byte // an INSERT that takes more rows
	rows    int    // in it
}

// head writes what the file is, and statements that fail where it must not be run. A
// JSON path that is none is SQLite's only way to put words into an error without a table.
func (w *sqlWriter) head(number int64, name string) {
	w.write(fmt.Sprintf(exportHead+"\n", exportFormat, number))
	w.write("-- Run it in a D1 database with the migrations up to " + name + " and nothing else:\n" +
		"-- wrangler d1 execute leger-db --remote --file FILE\n" +
		"-- or take it into a data directory: leger-server import FILE\n")
	w.guard("EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'd1_migrations')",
		"this database has no tables of Leger yet, nothing was changed. First run: wrangler d1 migrations apply")
	w.guard(fmt.Sprintf("(SELECT count(*) FROM d1_migrations) = %d", number)+
		" AND EXISTS (SELECT 1 FROM d1_migrations WHERE name = "+string(textLiteral(name+".sql"))+")",
		"this database has not the schema of the export, which is "+name+", nothing was changed. "+
			"Use the same release of Leger for both, and run: wrangler d1 migrations apply")
	w.guard("NOT EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM audit_log) "+
		"AND NOT EXISTS (SELECT 1 FROM audit_chain)",
		"this database is not empty: a Worker has used it, nothing was changed. "+
			"Make another one with: wrangler d1 create")
}

// guard writes a statement that fails with these words unless the condition holds.
func (w *sqlWriter) guard(condition, otherwise string) {
	w.statement("SELECT json_extract('{}', CASE WHEN " + condition +
		" THEN '$' ELSE " + string(textLiteral(otherwise)) + " END) AS ok")
}

// row adds a row. Its long texts are empty at first, and added piece by piece.
func (w *sqlWriter) row(values []driver.Value) {
	tuple := []byte{'('}
	var long []int
	for i, v := range values {
		if i > 0 {
			tuple = append(tuple, ',')
		}
		if text, ok := v.(string); ok && len(text) > maxInlineText {
			long, v = append(long, i), ""
		}
		literal, err := sqlLiteral(v)
		if err != nil {
			w.fail(leger.Errorf(leger.CodeInternal, "the column %s of the table %s cannot be exported: %v",
				w.table.columns[i].name, w.table.name, err))
			return
		}
		tuple = append(tuple, literal...)
	}
	tuple = append(tuple, ')')
	if w.rows == maxExportRows || len(w.pending)+len(tuple)+2 > maxExportStatement {
		w.flush()
	}
	if w.rows == 0 {
		w.pending = append(w.pending, w.table.insertHead()...)
	} else {
		w.pending = append(w.pending, ',')
	}
	w.pending, w.rows = append(append(w.pending, '\n'), tuple...), w.rows+1
	if len(long) > 0 {
		w.flush()
	}
	for _, i := range long {
		w.append(values, i)
	}
}

// append writes the statements that add a text to the column i of the row.
func (w *sqlWriter) append(values []driver.Value, i int) {
	var where []string
	for k, c := range w.table.columns {
		if !c.key {
			continue
		}
		literal, err := sqlLiteral(values[k])
		if text, ok := values[k].(string); err != nil || ok && len(text) > maxInlineText {
			w.fail(leger.Errorf(leger.CodeInternal, "a key of the table %s cannot be exported", w.table.name))
			return
		}
		where = append(where, quoteName(c.name)+" = "+string(literal))
	}
	text, _ := values[i].(string)
	column := quoteName(w.table.columns[i].name)
	for _, piece := range pieces(text) {
		w.statement("UPDATE " + quoteName(w.table.name) + " SET " + column + " = " + column + " || " + piece +
			" WHERE " + strings.Join(where, " AND "))
	}
}

// pieces gives literals that together are the text.
func pieces(text string) (list []string) {
	literal := literalOf(text)
	for len(text) > 0 {
		cut := min(len(text), maxTextPiece)
		for cut < len(text) && cut > maxTextPiece-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		list, text = append(list, string(literal(text[:cut]))), text[cut:]
	}
	return list
}

func (w *sqlWriter) flush() {
	if w.rows > 0 {
		w.statement(string(w.pending))
	}
	w.pending, w.rows = w.pending[:0], 0
}

func (w *sqlWriter) statement(text string) {
	if len(text) >= maxExportStatement+maxExportStatement/10 {
		w.fail(leger.Errorf(leger.CodeInternal, "a statement of the export would be longer than D1 takes"))
		return
	}
	w.write(text)
	w.write(";\n")
}

func (w *sqlWriter) write(text string) {
	if w.err == nil {
		_, w.err = w.to.WriteString(text)
	}
}

func (w *sqlWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// sqlLiteral writes a value so that SQLite reads the same one.
func sqlLiteral(v driver.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return []byte("NULL"), nil
	case int64:
		return strconv.AppendInt(nil, v, 10), nil
	case string:
		return textLiteral(v), nil
	case float64:
		if text := strconv.AppendFloat(nil, v, 'e', -1, 64); !math.IsInf(v, 0) {
			return text, nil
		}
	}
	return nil, fmt.Errorf("it holds %T", v) // a BLOB: no column of Leger's has one
}

func textLiteral(text string) []byte { return literalOf(text)(text) }

// literalOf gives how to write the text, or parts of it. What a program on the way could
// read otherwise goes in hexadecimals: control characters, what is not UTF-8, and words
// that wrangler takes out of a file.
func literalOf(text string) func(part string) []byte {
	control := func(r rune) bool {
		return r < ' ' || r == 0x7f || r == utf8.RuneError || r == '\u2028' || r == '\u2029' || r == '\ufeff'
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, control) || strings.Contains(text, "BEGIN TRANSACTION") {
		return func(part string) []byte {
			return append(hex.AppendEncode([]byte("CAST(x'"), []byte(part)), "' AS TEXT)"...)
		}
	}
	return func(part string) []byte {
		return []byte("'" + strings.ReplaceAll(part, "'", "''") + "'")
	}
}
