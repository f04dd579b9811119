package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
)

// readers is a fixed set of connections that can only read. Each read is one
// statement and so sees one state of the database, whatever is being written.
type readers struct {
	idle   chan *conn
	closed chan struct{}
	once   sync.Once
}

func newReaders(ctx context.Context, n int, open func(context.Context) (*conn, error)) (*readers, error) {
	r := &readers{idle: make(chan *conn, n), closed: make(chan struct{})}
	for range n {
		c, err := open(ctx)
		if err != nil {
			for len(r.idle) > 0 {
				err = errors.Join(err, (<-r.idle).close())
			}
			return nil, err
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

// read runs one SELECT on a reader connection. It does not watch ctx once the
// statement runs: a statement touches at most a thousand short rows, which takes
// less time than the goroutine that watching would start.
func (s *Store) read(ctx context.Context, text string, args []driver.Value, each func(*row) error) error {
	return s.readers.with(ctx, func(c *conn) error {
		return c.query(context.WithoutCancel(ctx), text, args, each)
	})
}
