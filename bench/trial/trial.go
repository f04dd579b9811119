// Package trial holds what Leger's two benchmarks share, bench (leger-server beside
// setec and PocketBase) and e2e/workerbench (the Worker beside one in TypeScript):
// the same secrets, turns taken in the same order, the same summary of samples, the
// same verdicts, and the page the tables are written into. It knows no contender.
package trial

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Main runs a benchmark as a program: an interrupt ends its context, an error is
// printed after the program's name and makes the exit code 1.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// warmUps is how many rounds come before the ones that count. They fill caches and
// let compilers finish.
const warmUps = 3

// InTurn calls sample for each contender once a round, A B C, B C A, and so on, so
// that whatever else the machine does falls on all alike. counts is false in the
// first rounds, whose samples are to be thrown away.
func InTurn[C any](all []C, rounds int, sample func(c C, counts bool) error) error {
	for round := range warmUps + rounds {
		for i := range all {
			if err := sample(all[(round+i)%len(all)], round >= warmUps); err != nil {
				return err
			}
		}
	}
	return nil
}

// AtOnce lets a number of clients call do over and over until window has passed, and
// tells how many calls succeeded and how long it took until the last one ended. A
// client stops at its first error; one of these errors is returned.
func AtOnce(clients int, window time.Duration, do func(client, call int) error) (int64, time.Duration, error) {
	var group sync.WaitGroup
	var done atomic.Int64
	failed := make(chan error, clients)
	begin := time.Now()
	for client := range clients {
		group.Go(func() {
			for call := 0; time.Since(begin) < window; call++ {
				if err := do(client, call); err != nil {
					failed <- err
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	close(failed)
	return done.Load(), took, <-failed
}
