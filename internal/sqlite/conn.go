package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"

	"leger.run/leger/internal/ledger"
)

// conn is one connection with its prepared statements. It speaks to the driver
// itself: database/sql in between costs a fifth of the time and two fifths of
// the allocations of reading 100 secrets. Not safe for concurrent use.
type conn struct {
	raw   driver.Conn
	stmts map[string]statement
	args  []driver.NamedValue
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// dial opens a connection to the file at path, which must be absolute, and runs
// the pragmas on it.
func dial(ctx context.Context, path string, pragmas []string) (_ *conn, err error) {
	// mode=rw: a file that vanished is an error, not a new empty database.
	name := url.URL{Scheme: "file", Path: path, RawQuery: "mode=rw"}
	raw, err := new(sqlite.Driver).Open(name.String())
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, stmts: make(map[string]statement)}
	for _, pragma := range pragmas {
		if err := c.script(ctx, "PRAGMA "+pragma); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	return c, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// script runs text that is not kept prepared: several statements, or a PRAGMA,
// some of which act while they are prepared and never again.
func (c *conn) script(ctx context.Context, text string) error {
	execer, ok := c.raw.(driver.ExecerContext)
	if !ok {
		return fmt.Errorf("the driver's %T runs no scripts", c.raw)
	}
	_, err := execer.ExecContext(ctx, text, nil)
	return err
}

// exec runs one statement and gives the number of rows it wrote.
func (c *conn) exec(ctx context.Context, text string, args ...driver.Value) (int64, error) {
	s, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, c.bind(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// run runs one statement of a list and gives the number of rows it wrote.
func (c *conn) run(ctx context.Context, s *ledger.Statement) (int64, error) {
	if s.Each != nil {
		return 0, c.query(ctx, s.Text, s.Args, s.Each)
	}
	return c.exec(ctx, s.Text, s.Args...)
}

// query runs one statement and calls each for every row.
func (c *conn) query(ctx context.Context, text string, args []driver.Value, each func(*ledger.Row)) (err error) {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r := &ledger.Row{Values: make([]driver.Value, len(rows.Columns()))}
	for {
		if err := rows.Next(r.Values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r.Begin()
		each(r)
		if err := r.Err(); err != nil {
			return err
		}
	}
}

func (c *conn) prepare(text string) (statement, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	raw, err := c.raw.Prepare(text)
	if err != nil {
		return nil, err
	}
	s, ok := raw.(statement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's %T takes no context", raw), raw.Close())
	}
	c.stmts[text] = s
	return s, nil
}

// bind numbers the values as the statements do: ?1, ?2, …
func (c *conn) bind(values []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range values {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}
