package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
)

// maxBatch bounds how many operations share a transaction, so that none waits
// long for those that came with it.
const maxBatch = 256

// The states of an operation: whoever moves it away from waiting owns it.
const (
	waiting int32 = iota
	begun
	givenUp
)

// operation is one write that a caller waits for. It may run in one transaction
// with others, but it is all or nothing by itself.
type operation struct {
	ctx        context.Context
	durability ledger.Durability
	apply      func(context.Context, *conn) error
	state      atomic.Int32
	done       chan error // holds the answer; never blocks the writer
}

// writer owns the only connection that writes. Operations that wait together are
// committed together, with one sync of the disk for all of them.
type writer struct {
	open      func(context.Context) (*conn, error)
	conn      *conn // nil after it was beyond repair
	log       string
	syncDelay time.Duration
	logger    *slog.Logger
	refusal   func() error // why nothing is accepted when closed
	stats     counters

	// turn is held by whoever uses the connection and what belongs to it: the loop,
	// or a caller who found nobody there.
	turn sync.Mutex

	mu     sync.Mutex
	queue  []*operation
	closed bool

	wake    chan struct{}
	stopped chan struct{}

	level    ledger.Durability // what the connection is set to
	unsynced bool              // the log holds commits that were not synced
	syncTime *time.Timer       // runs while unsynced
}

type counters struct {
	operations, transactions, synced, flushes atomic.Int64
}

func newWriter(cfg Config, c *conn, open func(context.Context) (*conn, error)) *writer {
	w := &writer{
		open: open, conn: c, refusal: errClosed, log: cfg.Path + "-wal", syncDelay: cfg.SyncDelay, logger: cfg.Logger,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		level: ledger.SurvivesPowerLoss, syncTime: time.NewTimer(cfg.SyncDelay),
	}
	w.syncTime.Stop()
	return w
}

// noWriter refuses every write.
func noWriter() *writer {
	w := &writer{refusal: errReadOnly, closed: true, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	close(w.stopped)
	return w
}

// do waits until apply has been committed, or has failed and left nothing. When
// ctx ends before apply began, it never begins; afterwards the answer says what
// truly happened.
func (w *writer) do(ctx context.Context, d ledger.Durability, apply func(context.Context, *conn) error) error {
	if err := ctx.Err(); err != nil {
		return storageError(err)
	}
	op := &operation{ctx: ctx, durability: d, apply: apply, done: make(chan error, 1)}
	if !w.enqueue(op) {
		return w.refusal()
	}
	w.proceed(context.WithoutCancel(ctx))
	select {
	case err := <-op.done:
		return err
	case <-ctx.Done():
		if op.state.CompareAndSwap(waiting, givenUp) {
			return storageError(ctx.Err())
		}
		return <-op.done
	}
}

func (w *writer) enqueue(op *operation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.queue = append(w.queue, op)
	return true
}

// proceed commits what waits, in the goroutine of whoever brought it, unless
// another is at it: then the loop comes after that one. To go through the loop
// always would cost two switches between goroutines, a sixth of the time that
// reading one secret takes.
func (w *writer) proceed(ctx context.Context) {
	if !w.turn.TryLock() {
		w.nudge()
		return
	}
	defer w.turn.Unlock()
	if batch, _ := w.next(); len(batch) > 0 {
		w.commit(ctx, batch)
	}
	if w.waiting() > 0 {
		w.nudge()
	}
}

func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it has yet to notice the last nudge
	}
}

// close lets what was accepted finish, and refuses the rest.
func (w *writer) close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.nudge()
	w.mu.Unlock()
	<-w.stopped
	if !first || w.conn == nil {
		return nil
	}
	return w.conn.close()
}

// loop is the writer's goroutine.
func (w *writer) loop(ctx context.Context) {
	defer close(w.stopped)
	defer w.syncTime.Stop()
	for {
		busy, closed := w.step(ctx)
		switch {
		case busy:
			select {
			case <-w.syncTime.C:
				w.flush(ctx)
			default:
			}
		case closed:
			return
		default:
			select {
			case <-w.wake:
			case <-w.syncTime.C:
				w.flush(ctx)
			}
		}
	}
}

// step waits for its turn and commits what waits then. closed tells that nothing
// will ever come again.
func (w *writer) step(ctx context.Context) (busy, closed bool) {
	w.turn.Lock()
	defer w.turn.Unlock()
	batch, closed := w.next()
	if len(batch) > 0 {
		w.commit(ctx, batch)
	}
	return len(batch) > 0, closed
}

// next takes what is waiting and was not given up.
func (w *writer) next() (batch []*operation, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := 0
	for taken < len(w.queue) && len(batch) < maxBatch {
		op := w.queue[taken]
		taken++
		if op.ctx.Err() == nil && op.state.CompareAndSwap(waiting, begun) {
			batch = append(batch, op)
		} else if op.state.CompareAndSwap(waiting, givenUp) {
			op.done <- storageError(op.ctx.Err())
		}
	}
	w.stats.operations.Add(int64(len(batch)))
	clear(w.queue[:taken])
	w.queue = w.queue[taken:]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	return batch, w.closed
}

// commit runs a batch in one transaction and answers every operation of it.
func (w *writer) commit(ctx context.Context, batch []*operation) {
	level := ledger.SurvivesProcessEnd
	for _, op := range batch {
		level = level || op.durability
	}
	answers, err := w.transact(ctx, batch, level)
	w.stats.transactions.Add(1)
	switch {
	case err != nil:
		w.abandon(ctx, err)
	case level == ledger.SurvivesPowerLoss:
		w.stats.synced.Add(1)
	case !w.unsynced:
		w.unsynced = true
		w.syncTime.Reset(w.syncDelay)
	}
	for i, op := range batch {
		// What an operation found out inside a transaction that was not committed
		// may rest on another's writes that never were: nobody gets such an answer.
		if err != nil {
			op.done <- storageError(err)
		} else {
			op.done <- storageError(answers[i])
		}
	}
}

// transact gives what each operation returned; err means that nothing of the
// whole batch was written.
func (w *writer) transact(ctx context.Context, batch []*operation, level ledger.Durability) (answers []error, err error) {
	if err := w.begin(ctx, level); err != nil {
		return nil, err
	}
	answers = make([]error, len(batch))
	for i, op := range batch {
		if answers[i], err = w.runAlone(ctx, op); err != nil {
			return nil, err
		}
	}
	if _, err := w.conn.exec(ctx, "COMMIT"); err != nil {
		return nil, err
	}
	return answers, nil
}

func (w *writer) begin(ctx context.Context, level ledger.Durability) error {
	if w.conn == nil {
		c, err := w.open(ctx)
		if err != nil {
			return err
		}
		w.conn, w.level = c, ledger.SurvivesPowerLoss
	}
	if w.level != level {
		pragma := "PRAGMA synchronous=NORMAL"
		if level == ledger.SurvivesPowerLoss {
			pragma = "PRAGMA synchronous=FULL"
		}
		if err := w.conn.script(ctx, pragma); err != nil {
			return err
		}
		w.level = level
	}
	_, err := w.conn.exec(ctx, "BEGIN IMMEDIATE")
	return err
}

// runAlone runs one operation so that its failure undoes only its own writes.
// answer is the operation's; err means that the transaction is gone, which SQLite
// does by itself when the disk is full or broken
// (https://www.sqlite.org/lang_transaction.html, "Response To Errors"), or that it
// must go, because a panic left nobody knows what.
func (w *writer) runAlone(ctx context.Context, op *operation) (answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The stack, but not the panic's value, which could hold anything.
			w.logger.ErrorContext(ctx, "panic", slog.String("stack", string(debug.Stack())))
			err = leger.Errorf(leger.CodeInternal, "panic of type %T in the store", p)
		}
	}()
	if _, err := w.conn.exec(ctx, "SAVEPOINT operation"); err != nil {
		return nil, err
	}
	if answer = op.apply(ctx, w.conn); answer != nil {
		if _, err := w.conn.exec(ctx, "ROLLBACK TO operation"); err != nil {
			return nil, lostBy(answer, err)
		}
	}
	if _, err := w.conn.exec(ctx, "RELEASE operation"); err != nil {
		return nil, err
	}
	return answer, nil
}

// lostBy picks the error that tells why a transaction is gone: the one that the
// operation met, unless that was its own conflict.
func lostBy(answer, rollback error) error {
	if _, own := errors.AsType[*leger.Error](answer); own {
		return rollback
	}
	return answer
}

// abandon leaves the connection outside any transaction, if need be by closing
// it: the next batch then opens another.
func (w *writer) abandon(ctx context.Context, cause error) {
	w.logger.ErrorContext(ctx, "a transaction was not committed", slog.Any("error", cause))
	if w.conn == nil {
		return
	}
	// After an automatic rollback there is nothing to roll back, which is an error
	// that cannot be told from others; a harmless BEGIN tells.
	_ = w.conn.script(ctx, "ROLLBACK")
	if w.conn.script(ctx, "BEGIN; ROLLBACK") == nil {
		return
	}
	if err := w.conn.close(); err != nil {
		w.logger.ErrorContext(ctx, "close the connection that cannot go on", slog.Any("error", err))
	}
	w.conn = nil
}

// flush makes the commits that were only handed to the kernel survive power
// loss. SQLite offers no call for it short of a checkpoint; the log holds no
// lock that closing a second descriptor could drop.
func (w *writer) flush(ctx context.Context) {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.unsynced = false
	f, err := os.OpenFile(w.log, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		w.logger.ErrorContext(ctx, "sync the database log", slog.Any("error", err))
		w.unsynced = true
		w.syncTime.Reset(w.syncDelay)
		return
	}
	w.stats.flushes.Add(1)
}
