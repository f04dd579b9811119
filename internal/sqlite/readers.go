package sqlite

import (
	"context"
	"errors"
	"sync"

	"leger.run/leger/internal/ledger"
)

// readers is a fixed set of connections that can only read. Each read is one
// statement and so sees one state of the database, whatever is being written.
type readers struct {
	idle   chan *conn
	closed chan struct{}
	once   sync.Once
}

func newReaders(ctx context.Context, cfg Config) (*readers, error) {
	r := &readers{idle: make(chan *conn, cfg.Readers), closed: make(chan struct{})}
	for range cfg.Readers {
		c, err := dial(ctx, cfg.Path, []string{"busy_timeout=5000", "query_only=ON", "trusted_schema=OFF"})
		if err != nil {
			for len(r.idle) > 0 {
				err = errors.Join(err, (<-r.idle).close())
			}
			return nil, openError(cfg.Path, err)
		}
		r.idle <- c
	}
	return r, nil
}

// with calls read with a connection that nobody else uses meanwhile.
func (r *readers) with(ctx context.Context, read func(*conn) error) error {
	select {
	case <-r.closed:
		return errClosed()
	default:
	}
	if err := ctx.Err(); err != nil {
		return storageError(err)
	}
	select {
	case <-r.closed:
		return errClosed()
	case <-ctx.Done():
		return storageError(ctx.Err())
	case c := <-r.idle:
		defer func() { r.idle <- c }()
		return storageError(read(c))
	}
}

// close waits for the reads that are under way.
func (r *readers) close() error {
	var errs []error
	r.once.Do(func() {
		close(r.closed)
		for range cap(r.idle) {
			errs = append(errs, (<-r.idle).close())
		}
	})
	return errors.Join(errs...)
}

// Read implements ledger.Engine. It does not watch ctx once the statement runs: a
// statement touches at most a thousand short rows, which takes less time than the
// goroutine that watching would start.
func (e *engine) Read(ctx context.Context, s ledger.Statement, each func(*ledger.Row)) error {
	return e.readers.with(ctx, func(c *conn) error {
		return c.query(context.WithoutCancel(ctx), s.Text, s.Args, each)
	})
}
