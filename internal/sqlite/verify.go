package sqlite

import (
	"context"
	"errors"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
)

// Verify looks for damage: SQLite's own quick check of the file, then the ledger
// against itself. ErrInternal or ErrUnavailable says what was found, and so does Ping
// from then on. It reads the whole file, while others read and write: for the start
// and once a day.
func (s *Store) Verify(ctx context.Context) error {
	err := s.engine.readers.with(ctx, func(*conn) error { // keeps Close waiting
		c, err := dial(ctx, s.path, []string{"busy_timeout=5000", "query_only=ON", "trusted_schema=OFF"})
		if err != nil {
			return err
		}
		return errors.Join(quickCheck(ctx, c), c.close())
	})
	if err == nil {
		err = s.Store.Verify(ctx)
	}
	if ctx.Err() != nil {
		return err // it tells of the caller's patience, not of the database
	}
	s.verdict.Store(&verdict{err})
	return err
}

// verdict is what Verify found last.
type verdict struct{ err error }

// howToRestore is the hint of every error that only damage makes.
const howToRestore = "stop the server and put back the newest backup: leger-server restore FILE"

// HowToRestore implements ledger.Engine.
func (*engine) HowToRestore() string { return howToRestore }

// quickCheck runs https://www.sqlite.org/pragma.html#pragma_quick_check. What it finds
// are numbers of pages and names of tables.
func quickCheck(ctx context.Context, c *conn) error {
	found := ""
	err := c.query(ctx, `PRAGMA quick_check(1)`, nil, func(r *ledger.Row) { found = r.Text() })
	if err == nil && found != "ok" {
		err = leger.Wrap(leger.CodeInternal, errors.New(found), "the database file is damaged").
			WithHint(howToRestore)
	}
	return err
}
