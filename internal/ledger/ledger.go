// Package ledger is what Leger stores as SQL: the statements, the lists in which
// they write, and what their rows mean, for any engine that speaks SQLite's
// dialect: SQLite itself and Cloudflare D1.
//
// Its invariants: a list is written as a whole or not at all; every conflict is
// decided by one statement of the list that writes no row when it does not hold,
// because D1 has no transaction that one could read and then write in; a change
// and its audit event are in one list.
//
// It opens nothing, knows no driver, never sees a plaintext, and holds no key but that of
// the audit log.
package ledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
)

// Engine runs statements. Implementations are safe for concurrent use, and their
// errors are *leger.Error.
type Engine interface {
	// Read runs one statement that writes nothing and calls each for every row. The
	// row is gone when each returns.
	Read(ctx context.Context, s Statement, each func(*Row)) error
	// Write runs the statements in order, all in one transaction, and gives the
	// number of rows that each wrote. When one that decides wrote none, nothing of
	// the list is written and the error is an *UndecidedError.
	Write(ctx context.Context, d Durability, list []Statement) ([]int64, error)
	// HowToRestore says how the operator puts a backup in the place of a damaged
	// database: a hint, with the command.
	HowToRestore() string
}

// Statement is SQL with its parameters ?1, ?2, …: text, integers and nil only,
// which every engine keeps apart.
type Statement struct {
	Text string
	Args []driver.Value
	// Decides: unless this statement writes a row, the list it is in writes nothing.
	Decides bool
	// Follows: when the statement before it wrote no row this one does nothing, or what
	// is right all the same. An engine that learns only afterwards what was decided may
	// run it then; every other statement it must keep from running.
	Follows bool
	// Each takes the rows of a SELECT in a list that writes.
	Each func(*Row)
}

// Durability says what a write must survive before it is answered. An engine may
// always give more.
type Durability bool

// The two kinds of durability.
const (
	SurvivesPowerLoss  Durability = true
	SurvivesProcessEnd Durability = false
)

// UndecidedError is what Engine.Write gives when a statement that decides wrote
// nothing.
type UndecidedError struct {
	// Err is nil when that is certain. D1 ends a batch with an error and does not
	// tell whether a condition did not hold or something broke: then it is that error.
	Err error
}

func (*UndecidedError) Error() string   { return "a condition of the write did not hold" }
func (e *UndecidedError) Unwrap() error { return e.Err }

// Store implements leger.SecretStore, UserStore, SessionStore, ReleaseStore,
// HostStore, MachineStore, EnrolmentStore, LinkStore, OperatorStore, AuditLog and
// InstallationStore on an engine. Safe for concurrent use.
type Store struct {
	engine Engine
	now    func() time.Time
	// auditKey is nil until OpenAuditKey: events are written without a stamp then.
	auditKey atomic.Pointer[chain.Key]
}

var (
	_ leger.SecretStore    = (*Store)(nil)
	_ leger.UserStore      = (*Store)(nil)
	_ leger.SessionStore   = (*Store)(nil)
	_ leger.ReleaseStore   = (*Store)(nil)
	_ leger.HostStore      = (*Store)(nil)
	_ leger.MachineStore   = (*Store)(nil)
	_ leger.EnrolmentStore = (*Store)(nil)
	_ leger.LinkStore      = (*Store)(nil)
	_ leger.OperatorStore  = (*Store)(nil)
	_ leger.AuditLog       = (*Store)(nil)

	_ leger.InstallationStore = (*Store)(nil)
)

// New makes a store on an engine whose database has the schema of package
// migrations. now is the clock for events without a time.
func New(engine Engine, now func() time.Time) *Store { return &Store{engine: engine, now: now} }

// read runs one SELECT.
func (s *Store) read(ctx context.Context, text string, args []driver.Value, each func(*Row)) error {
	return s.engine.Read(ctx, Statement{Text: text, Args: args}, each)
}

// write runs a list that is right whatever the database holds.
func (s *Store) write(ctx context.Context, d Durability, list ...Statement) error {
	_, err := s.engine.Write(ctx, d, list)
	return err
}

// decide runs a list with statements that decide. whyNot looks, afterwards, for
// what stood in the way, and gives nil when there is nothing any more.
func (s *Store) decide(ctx context.Context, d Durability, list []Statement, whyNot func(context.Context) error) ([]int64, error) {
	written, err := s.engine.Write(ctx, d, list)
	return written, explain(ctx, err, whyNot)
}

// explain gives the error of a list that was not written for what the engine said.
func explain(ctx context.Context, err error, whyNot func(context.Context) error) error {
	undecided, ok := errors.AsType[*UndecidedError](err)
	if !ok {
		return err
	}
	if err := whyNot(ctx); err != nil {
		return err
	}
	if undecided.Err != nil {
		return undecided.Err
	}
	return leger.Errorf(leger.CodeConflict, "somebody else changed this at the same moment; nothing was written").
		WithHint("try again")
}

func statement(text string, args ...driver.Value) Statement { return Statement{Text: text, Args: args} }

// following is a statement that is right whatever was decided before it.
func following(text string, args ...driver.Value) Statement {
	return Statement{Text: text, Args: args, Follows: true}
}

func deciding(text string, args ...driver.Value) Statement {
	return Statement{Text: text, Args: args, Decides: true}
}
