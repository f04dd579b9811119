package rig

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"
)

// pollInterval is short: what is waited for mostly happens within a second.
const pollInterval = 20 * time.Millisecond

// Eventually calls check until it returns nil, and ends the test with the last
// error when that has not happened within the limit.
func Eventually(t testing.TB, limit time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	eventually(t.Context(), t, limit, what, check)
}

func eventually(ctx context.Context, t testing.TB, limit time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		// A check that the deadline cut off says nothing new.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, limit, last)
		case <-ticker.C:
		}
	}
}

// lockedWriter lets two goroutines share a writer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write passes p on while nobody else writes.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
