package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What is measured, and how many times in a row for one sample: enough that the
// clock and one stray interruption do not matter, few enough that the servers
// take turns often.
const (
	opList   = "list and open 100 secrets"
	opRead   = "read one secret"
	opCreate = "create one secret"

	listsInARow   = 3
	readsInARow   = 20
	createsInARow = 5
	warmUps       = 3
)

// window is how long each server is read by a number of clients at once.
const window = 400 * time.Millisecond

// windows is how many such windows each server gets for each number of clients.
const windows = 5

func clientCounts() []int { return []int{1, 2, 4, 16} }

type measurement struct {
	all    []contender
	work   *workload
	rounds int
	report *report
	say    func(string, ...any)
}

func (m *measurement) run(ctx context.Context) error {
	for _, op := range []struct {
		name   string
		sample func(context.Context, contender) (time.Duration, error)
	}{{opList, m.lists}, {opRead, m.reads}, {opCreate, m.creates}} {
		m.say("%s: %d rounds of %d servers", op.name, m.rounds, len(m.all))
		if err := m.inTurn(ctx, op.name, op.sample); err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
	}
	for _, clients := range clientCounts() {
		m.say("reading with %d clients at once", clients)
		if err := m.concurrent(ctx, clients); err != nil {
			return fmt.Errorf("reading with %d clients: %w", clients, err)
		}
	}
	for _, c := range m.all {
		rest, err := residentAtRest(ctx, c)
		if err != nil {
			return err
		}
		m.report.memory(c.name()).afterwards = rest
	}
	return nil
}

// inTurn takes one sample of each server a round, each round beginning with
// another one. The first samples warm caches and are thrown away.
func (m *measurement) inTurn(ctx context.Context, op string, sample func(context.Context, contender) (time.Duration, error)) error {
	for round := range warmUps + m.rounds {
		for i := range m.all {
			c := m.all[(round+i)%len(m.all)]
			took, err := sample(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name(), err)
			}
			if round >= warmUps {
				m.report.add(op, c.name(), took)
			}
		}
	}
	return nil
}

func (m *measurement) lists(ctx context.Context, c contender) (time.Duration, error) {
	var got [listsInARow]map[string]string
	begin := time.Now()
	for i := range got {
		var err error
		if got[i], err = c.list(ctx); err != nil {
			return 0, err
		}
	}
	took := time.Since(begin)
	want := map[string]string{}
	for _, s := range m.work.secrets {
		want[s.name] = s.value
	}
	for _, g := range got {
		if !maps.Equal(g, want) {
			return 0, fmt.Errorf("the list holds %d secrets that are not the %d stored", len(g), len(want))
		}
	}
	return took / listsInARow, nil
}

func (m *measurement) reads(ctx context.Context, c contender) (time.Duration, error) {
	first := rand.IntN(secretCount) //nolint:gosec // which secret is read first matters to nobody
	begin := time.Now()
	for i := range readsInARow {
		if err := readAndCheck(ctx, c, m.work.secrets[(first+i)%secretCount]); err != nil {
			return 0, err
		}
	}
	return time.Since(begin) / readsInARow, nil
}

func readAndCheck(ctx context.Context, c contender, s secret) error {
	v, err := c.read(ctx, s.name)
	if err == nil && v != s.value {
		err = fmt.Errorf("%s has another value than was stored", s.name)
	}
	return err
}

// creates makes secrets of new names, then, untimed, removes them: each sample
// finds 100 secrets.
func (m *measurement) creates(ctx context.Context, c contender) (time.Duration, error) {
	var made [createsInARow]secret
	for i := range made {
		made[i] = m.work.next()
	}
	begin := time.Now()
	for _, s := range made {
		if err := c.create(ctx, s); err != nil {
			return 0, err
		}
	}
	took := time.Since(begin)
	for _, s := range made {
		if err := errors.Join(readAndCheck(ctx, c, s), c.remove(ctx, s.name)); err != nil {
			return 0, err
		}
	}
	return took / createsInARow, nil
}

// concurrent counts the reads of each server in turn by clients at once.
func (m *measurement) concurrent(ctx context.Context, clients int) error {
	for round := range windows {
		for i := range m.all {
			c := m.all[(round+i)%len(m.all)]
			before, err := cpuTime(c.pid())
			if err != nil {
				return err
			}
			reads, took, err := m.readFor(ctx, c, clients)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name(), err)
			}
			after, err := cpuTime(c.pid())
			if err != nil {
				return err
			}
			m.report.addThroughput(c.name(), clients, float64(reads)/took.Seconds(), after-before, reads)
		}
	}
	return nil
}

func (m *measurement) readFor(ctx context.Context, c contender, clients int) (int64, time.Duration, error) {
	var wg sync.WaitGroup
	var reads atomic.Int64
	failed := make(chan error, clients)
	begin := time.Now()
	for client := range clients {
		wg.Go(func() {
			for i := client * 7; time.Since(begin) < window; i++ {
				if err := readAndCheck(ctx, c, m.work.secrets[i%secretCount]); err != nil {
					failed <- err
					return
				}
				reads.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	close(failed)
	return reads.Load(), took, <-failed
}

// summary is the middle and the ends of some samples.
type summary[T time.Duration | float64] struct{ median, least, most T }

func summarize[T time.Duration | float64](samples []T) summary[T] {
	s := slices.Clone(samples)
	slices.Sort(s)
	if len(s) == 0 {
		return summary[T]{}
	}
	n := len(s)
	return summary[T]{median: (s[(n-1)/2] + s[n/2]) / 2, least: s[0], most: s[n-1]}
}
