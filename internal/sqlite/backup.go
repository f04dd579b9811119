package sqlite

import (
	"context"
	"errors"
	"os"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
	"leger.run/leger/internal/safefile"
)

type existing bool

const (
	refuseExisting  existing = false
	replaceExisting existing = true
)

// Backup writes a copy of the database as it is now to path, mode 0600, while
// reads and writes go on. The copy is complete and on the disk, or absent.
// ErrConflict if there is a file at path; ErrUnavailable for storage trouble.
// To restore, stop the server and put the copy in the database's place: the server
// knows it for a copy then, and begins a new epoch.
func (s *Store) Backup(ctx context.Context, path string) error {
	return s.engine.readers.with(ctx, func(*conn) error { // keeps Close waiting
		c, err := dial(ctx, s.path, []string{"busy_timeout=5000"})
		if err != nil {
			return err
		}
		return errors.Join(copyInto(ctx, c, path, refuseExisting), c.close())
	})
}

// copyInto writes the copy under another name first, so that a file called path
// is always a whole one.
func copyInto(ctx context.Context, c *conn, path string, over existing) (err error) {
	if _, err := os.Lstat(path); err == nil && over == refuseExisting {
		return leger.Errorf(leger.CodeConflict, "there is already a file at %s", path).WithHint("give the copy another name")
	}
	partial := path + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return leger.Wrap(leger.CodeUnavailable, err, "remove an unfinished copy")
	}
	// VACUUM INTO takes an empty file that is there; made by SQLite it would be 0644.
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // the operator names the path
	if err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "create %s", partial).WithHint("check that its directory is there and can be written")
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = leger.Wrap(leger.CodeUnavailable, closeErr, "close %s", partial)
		}
		if err != nil {
			err = errors.Join(err, ignoreAbsent(os.Remove(partial)))
		}
	}()
	if _, err := c.exec(ctx, `VACUUM INTO ?1`, partial); err != nil {
		return storageError(err)
	}
	if err := MarkCopy(ctx, partial); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "sync %s", partial)
	}
	if err := safefile.Rename(partial, path); err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "name the copy %s", path)
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// MarkCopy lets the database at path, which nobody has open, know that it is a copy: the
// next Open begins a new epoch. One of before copies were marked stays as it is: an
// installation is given an identity when it is migrated, and so is such a copy, another
// one. ErrUnavailable when it is damaged or cannot be written.
func MarkCopy(ctx context.Context, path string) error {
	// No file beside it: the copy has not its name yet.
	c, err := dial(ctx, path, []string{"journal_mode=MEMORY", "synchronous=OFF"})
	if err != nil {
		return storageError(err)
	}
	marks, err := marksCopies(ctx, c)
	if err == nil && marks {
		_, err = c.exec(ctx, ledger.MarkCopy)
	}
	return storageError(errors.Join(err, c.close()))
}

// marksCopies tells whether the schema is new enough to have a place for the mark.
func marksCopies(ctx context.Context, c *conn) (marks bool, err error) {
	err = c.query(ctx, `SELECT count(*) FROM pragma_table_info('installation') WHERE name = 'is_copy'`, nil,
		func(r *ledger.Row) { marks = r.Integer() > 0 })
	return marks, err
}
