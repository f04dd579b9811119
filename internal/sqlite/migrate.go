package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
	"leger.run/leger/migrations"
)

const createSchemaMigrations = `CREATE TABLE schema_migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at TEXT NOT NULL
)`

type migrator struct {
	path   string
	conn   *conn
	known  []migrations.Migration
	now    func() time.Time
	logger *slog.Logger
}

// run brings the database up to the newest known migration, all steps or none.
// A database that already holds something is copied first.
func (m *migrator) run(ctx context.Context) error {
	pending, fresh, err := m.pending(ctx)
	if err != nil || len(pending) == 0 {
		return err
	}
	hint := "nothing was changed"
	if !fresh {
		target := fmt.Sprintf("%s.before-%04d", m.path, pending[0].Number)
		if err := copyInto(ctx, m.conn, target, replaceExisting); err != nil {
			return err
		}
		m.logger.InfoContext(ctx, "copied the database before migrating it", slog.String("copy", target))
		hint = "nothing was changed; a copy is at " + target
	}
	if err := m.apply(ctx, pending, fresh); err != nil {
		return leger.Wrap(leger.CodeInternal, err, "migrate %s", m.path).WithHint("%s", hint)
	}
	m.logger.InfoContext(ctx, "migrated the database", slog.String("to", pending[len(pending)-1].Name))
	return nil
}

// check fails unless every known migration was applied, and no other.
func (m *migrator) check(ctx context.Context) error {
	pending, _, err := m.pending(ctx)
	if err == nil && len(pending) > 0 {
		err = leger.Errorf(leger.CodeConflict, "%s still lacks the migration %s", m.path, pending[0].Name).
			WithHint("start leger-server once: it migrates the database, after copying it")
	}
	return err
}

// pending gives the known migrations that were not applied yet, and fails if
// others were. fresh tells that the database is empty.
func (m *migrator) pending(ctx context.Context) (steps []migrations.Migration, fresh bool, err error) {
	applied, fresh, err := m.applied(ctx)
	if err != nil {
		return nil, false, err
	}
	for number, name := range applied {
		if number < 1 {
			return nil, false, leger.Errorf(leger.CodeUnavailable, "%s is damaged: it lists a migration %d", m.path, number).
				WithHint(howToRestore)
		}
		if number > len(m.known) || m.known[number-1].Name != name {
			return nil, false, leger.Errorf(leger.CodeConflict, "%s was written by a newer Leger: this one does not know its migration %s", m.path, name).
				WithHint("install that version or a newer one; or put back the copy that it made beside the file before it migrated")
		}
	}
	return m.known[len(applied):], fresh, nil
}

// applied gives the names of the migrations that were applied, by number. fresh
// tells that the database is empty.
func (m *migrator) applied(ctx context.Context) (names map[int]string, fresh bool, err error) {
	var objects, tables int64
	err = m.conn.query(ctx, `SELECT count(*), count(CASE WHEN name = 'schema_migrations' THEN 1 END) FROM sqlite_master`, nil,
		func(r *ledger.Row) { objects, tables = r.Integer(), r.Integer() })
	if err != nil || objects == 0 {
		return nil, true, storageError(err)
	}
	if tables == 0 {
		return nil, false, leger.Errorf(leger.CodeConflict, "%s is a database, but not one of Leger's", m.path).
			WithHint("move the file away, or give another data directory with --data")
	}
	names = make(map[int]string)
	err = m.conn.query(ctx, `SELECT number, name FROM schema_migrations`, nil, func(r *ledger.Row) { names[int(r.Integer())] = r.Text() })
	return names, false, storageError(err)
}

func (m *migrator) apply(ctx context.Context, pending []migrations.Migration, fresh bool) (err error) {
	if err := m.conn.script(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.conn.script(context.WithoutCancel(ctx), "ROLLBACK"))
		}
	}()
	if fresh {
		if err := m.conn.script(ctx, createSchemaMigrations); err != nil {
			return err
		}
	}
	for _, step := range pending {
		if err := m.conn.script(ctx, step.SQL); err != nil {
			return fmt.Errorf("apply migration %s: %w", step.Name, err)
		}
		args := []driver.Value{int64(step.Number), step.Name, ledger.Timestamp(m.now())}
		if _, err := m.conn.exec(ctx, `INSERT INTO schema_migrations (number, name, applied_at) VALUES (?1, ?2, ?3)`, args...); err != nil {
			return fmt.Errorf("record migration %s: %w", step.Name, err)
		}
	}
	return m.conn.script(ctx, "COMMIT")
}
