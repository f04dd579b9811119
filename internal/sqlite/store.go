// Package sqlite runs the ledger, and so everything Leger stores, on one SQLite
// file.
//
// Its invariants: one process writes, through one connection; a write that was
// answered with nil survives power loss, unless its contract says less; what
// fails leaves nothing of its list behind.
//
// What the statements are and mean is package ledger's business. It never sees a
// plaintext, holds no key, and reads the time only for its own bookkeeping.
package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
	"leger.run/leger/internal/lockfile"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/migrations"
)

// Config says where the database is. Only Path is needed.
type Config struct {
	// Path is the database file. It is made, mode 0600, if it is not there, and so
	// is its directory, mode 0700. SQLite's own "-wal" and "-shm" and Leger's
	// ".lock" and ".before-NNNN" lie beside it.
	Path string
	// Now is the clock for bookkeeping and for events without a time; nil is time.Now.
	Now func() time.Time
	// Logger takes what no caller is told: migrations and lost transactions; nil
	// discards it.
	Logger *slog.Logger
	// Readers is the number of connections that read at the same time; 0 is one for
	// each core the process may use, at least 2 and at most 32.
	Readers int
	// SyncDelay is how long a write that need not survive power loss may stay
	// unsynced; 0 is two seconds.
	SyncDelay time.Duration
	// ReadOnly opens a database beside the process that writes to it, or without
	// one: to read the audit log or to make a backup. Every write is ErrUnavailable,
	// the lock is not taken, nothing is made and nothing migrated: a database that
	// is not of this schema is ErrConflict.
	ReadOnly bool
	// Lock is what Lock gave for Path, if the caller needs it before Open; Open takes it
	// over, and releases it when it fails.
	Lock *lockfile.Lock
	// Migrations is the schema; nil is all of package migrations. Tests use it to
	// make a database of another version.
	Migrations []migrations.Migration
}

// Store implements leger.SecretStore, UserStore, SessionStore, ReleaseStore,
// HostStore and AuditLog. Safe for concurrent use.
type Store struct {
	*ledger.Store
	path   string
	lock   *lockfile.Lock // nil when read-only
	engine engine
	// verdict is nil until Verify ran.
	verdict atomic.Pointer[verdict]
}

// engine implements ledger.Engine.
type engine struct {
	writer  *writer
	readers *readers
}

var (
	_ leger.SecretStore  = (*Store)(nil)
	_ leger.UserStore    = (*Store)(nil)
	_ leger.SessionStore = (*Store)(nil)
	_ leger.ReleaseStore = (*Store)(nil)
	_ leger.HostStore    = (*Store)(nil)
	_ leger.AuditLog     = (*Store)(nil)
)

// Open opens the database, makes it if it is not there, and migrates it to the
// newest schema after copying it to "PATH.before-NNNN".
//
// ErrUnavailable: another process has it open, or it cannot be read or written;
// ErrConflict: it was written by a newer Leger, or is not Leger's; the Hint says
// what to do. Nothing is changed then.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if cfg, err = cfg.complete(); err != nil {
		return nil, err
	}
	s := &Store{path: cfg.Path}
	s.Store = ledger.New(&s.engine, cfg.Now)
	if cfg.ReadOnly {
		s.engine.writer = noWriter()
		if err := s.startReading(ctx, cfg); err != nil {
			return nil, err
		}
		return s, nil
	}
	if s.lock, err = cfg.takeLock(); err != nil {
		return nil, err
	}
	if err := s.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, s.lock.Release())
	}
	if err := s.noticeCopy(ctx, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// takeLock makes the data directory and takes its lock, unless the caller has it.
func (c Config) takeLock() (*lockfile.Lock, error) {
	if c.Lock != nil {
		return c.Lock, nil
	}
	if err := safefile.MakeDir(filepath.Dir(c.Path), 0o700); err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "make the data directory %s", filepath.Dir(c.Path))
	}
	return lock(c.Path, lockfile.Try)
}

// noticeCopy begins a new epoch when the file is a copy that was put back: version
// numbers given since the copy was made will be given again, to other values.
func (s *Store) noticeCopy(ctx context.Context, cfg Config) error {
	marks := false
	err := s.engine.readers.with(ctx, func(c *conn) (err error) {
		marks, err = marksCopies(ctx, c)
		return err
	})
	if err != nil || !marks {
		return err
	}
	raised, err := s.RaiseEpochOfCopy(ctx, cfg.Now())
	if raised {
		cfg.Logger.WarnContext(ctx, "the database is a copy that was put back: machines will be told", slog.String("path", cfg.Path))
	}
	return err
}

func (c Config) complete() (Config, error) {
	path, err := filepath.Abs(c.Path)
	if c.Path == "" || err != nil {
		return c, leger.Wrap(leger.CodeInvalid, err, "the database has no path")
	}
	c.Path = path
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Readers == 0 {
		c.Readers = min(max(runtime.GOMAXPROCS(0), 2), 32)
	}
	if c.SyncDelay == 0 {
		c.SyncDelay = 2 * time.Second
	}
	if c.Migrations == nil {
		if c.Migrations, err = migrations.All(); err != nil {
			return c, leger.Wrap(leger.CodeInternal, err, "read the schema")
		}
	}
	return c, nil
}

func (s *Store) start(ctx context.Context, cfg Config) error {
	if err := makePrivate(cfg.Path); err != nil {
		return err
	}
	// SQLite built for Linux syncs with fdatasync; this build asks to be told to. It
	// is as durable and saves the file system's journal a commit for the timestamps.
	// Where there is no fdatasync the setting stays as it is.
	_, _ = sqlite.Fdatasync(true)

	openWriter := func(ctx context.Context) (*conn, error) {
		return dial(ctx, cfg.Path, []string{
			"busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
			"trusted_schema=OFF",
			"secure_delete=FAST",         // a deleted value is overwritten where that costs no further write
			"journal_size_limit=8388608", // a long backup lets the log grow: shrink it afterwards
		})
	}
	c, err := openWriter(ctx)
	if err != nil {
		return openError(cfg.Path, err)
	}
	m := migrator{path: cfg.Path, conn: c, known: cfg.Migrations, now: cfg.Now, logger: cfg.Logger}
	if err := m.run(ctx); err != nil {
		return errors.Join(err, c.close())
	}
	if s.engine.readers, err = newReaders(ctx, cfg); err != nil {
		return errors.Join(err, c.close())
	}
	s.engine.writer = newWriter(cfg, c, openWriter)
	go s.engine.writer.loop(context.WithoutCancel(ctx))
	return nil
}

func (s *Store) startReading(ctx context.Context, cfg Config) (err error) {
	if s.engine.readers, err = newReaders(ctx, cfg); err != nil {
		return err
	}
	err = s.engine.readers.with(ctx, func(c *conn) error {
		m := migrator{path: cfg.Path, conn: c, known: cfg.Migrations}
		return m.check(ctx)
	})
	if err != nil {
		return errors.Join(err, s.engine.readers.close())
	}
	return nil
}

// openError says which file it was, and keeps the code and the hint.
func openError(path string, err error) error {
	var e *leger.Error
	if !errors.As(storageError(err), &e) {
		return err
	}
	named := *e
	named.Message = "open database " + path + ": " + e.Message
	return &named
}

// makePrivate makes the file before SQLite does, since SQLite gives it and the
// files beside it the mode that the umask leaves.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's own setting
	if err == nil {
		err = errors.Join(f.Chmod(0o600), f.Close())
	}
	if err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "open database %s", path).
			WithHint("check owner and mode of the data directory")
	}
	return nil
}

// Close lets running operations finish, folds SQLite's log into the file and
// gives the lock back. Later calls of any method give ErrUnavailable.
func (s *Store) Close() error {
	err := storageError(errors.Join(s.engine.readers.close(), s.engine.writer.close()))
	if s.lock != nil {
		err = errors.Join(err, s.lock.Release())
	}
	return err
}

// Ping reads from the database. ErrUnavailable if that is not possible; and the
// damage that Verify found.
func (s *Store) Ping(ctx context.Context) error {
	if v := s.verdict.Load(); v != nil && v.err != nil {
		return v.err
	}
	ask := ledger.Statement{Text: `SELECT count(*) FROM schema_migrations`}
	return s.engine.Read(ctx, ask, func(*ledger.Row) {})
}

// Stats counts what the writer did since Open, for metrics and tests.
type Stats struct {
	Operations   int64 // writes that were begun
	Transactions int64 // transactions they shared
	Synced       int64 // transactions that waited for the disk
	Flushes      int64 // syncs of the log for writes that did not wait
	Waiting      int   // writes that are waiting now to begin
}

// Stats gives the counters.
func (s *Store) Stats() Stats {
	c := &s.engine.writer.stats
	return Stats{
		Operations: c.operations.Load(), Transactions: c.transactions.Load(),
		Synced: c.synced.Load(), Flushes: c.flushes.Load(), Waiting: s.engine.writer.waiting(),
	}
}

// Write implements ledger.Engine.
func (e *engine) Write(ctx context.Context, d ledger.Durability, list []ledger.Statement) (written []int64, err error) {
	written = make([]int64, len(list))
	undecided := false
	err = e.writer.do(ctx, d, func(ctx context.Context, tx *conn) error {
		for i := range list {
			n, err := tx.run(ctx, &list[i])
			if err != nil {
				return err
			}
			if n == 0 && list[i].Decides {
				undecided = true
				return errUndecided()
			}
			written[i] = n
		}
		return nil
	})
	// Where the whole transaction was lost, what it had found out counts for nothing.
	if undecided && errors.Is(err, errUndecided()) {
		return nil, &ledger.UndecidedError{}
	}
	if err != nil {
		return nil, err
	}
	return written, nil
}
