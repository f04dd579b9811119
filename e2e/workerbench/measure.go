package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// window is how long each worker lists for many clients at once.
const window = time.Second

const (
	listsInARow   = 5
	createsInARow = 5
	warmUps       = 3
	manyClients   = 8
)

type measurement struct {
	options

	both   []*contender
	report *report
	say    func(string, ...any)
	made   int
}

func (m *measurement) run(ctx context.Context) error {
	for _, c := range m.both {
		m.say("starting %s", c.name)
		if err := c.start(ctx); err != nil {
			return err
		}
		if err := c.seed(ctx); err != nil {
			return fmt.Errorf("give %s its secrets: %w", c.name, err)
		}
	}
	for _, op := range []struct {
		name   string
		sample func(context.Context, *contender) (time.Duration, error)
	}{{opList, m.lists}, {opListMany, m.listsAtOnce}, {opCreate, m.creates}, {opLedger, m.createsWithLedger}} {
		m.say("%s: %d rounds", op.name, m.rounds)
		if err := m.inTurn(ctx, op.name, op.sample); err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
	}
	for _, c := range m.both {
		rss, err := c.running.Memory()
		if err != nil {
			return err
		}
		m.report.memory[c.name] = rss
		if err := c.stop(); err != nil {
			return err
		}
	}
	m.say("%s: %d starts of each", opFirst, m.starts)
	return m.coldStarts(ctx)
}

// inTurn takes one sample of each worker a round, each round beginning with the
// other one. The first rounds warm caches and compilers and are thrown away.
func (m *measurement) inTurn(ctx context.Context, op string, sample func(context.Context, *contender) (time.Duration, error)) error {
	for round := range warmUps + m.rounds {
		for i := range m.both {
			c := m.both[(round+i)%len(m.both)]
			took, err := sample(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round >= warmUps {
				m.report.add(op, c.name, took)
			}
		}
	}
	return nil
}

func (m *measurement) lists(ctx context.Context, c *contender) (time.Duration, error) {
	begin := time.Now()
	for range listsInARow {
		if err := c.list(ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(begin) / listsInARow, nil
}

// listsAtOnce gives the time for which one list keeps the worker busy.
func (m *measurement) listsAtOnce(ctx context.Context, c *contender) (time.Duration, error) {
	var group sync.WaitGroup
	var done atomic.Int64
	failed := make(chan error, manyClients)
	begin := time.Now()
	for range manyClients {
		group.Go(func() {
			for time.Since(begin) < window {
				if err := c.list(ctx); err != nil {
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
	return took / time.Duration(max(1, done.Load())), <-failed
}

// creates makes secrets of new names, then, untimed, removes them: each sample finds
// 100 secrets.
func (m *measurement) creates(ctx context.Context, c *contender) (time.Duration, error) {
	return m.createsWith(ctx, c, c.create)
}

func (m *measurement) createsWithLedger(ctx context.Context, c *contender) (time.Duration, error) {
	return m.createsWith(ctx, c, c.createWithLedger)
}

func (m *measurement) createsWith(ctx context.Context, c *contender, create func(context.Context, secret) error) (time.Duration, error) {
	var made [createsInARow]secret
	for i := range made {
		m.made++
		made[i] = secret{fmt.Sprintf("NEW_%06d", m.made), valueOf("new", m.made)}
	}
	begin := time.Now()
	for _, s := range made {
		if err := create(ctx, s); err != nil {
			return 0, err
		}
	}
	took := time.Since(begin)
	var errs []error
	for _, s := range made {
		errs = append(errs, c.remove(ctx, s.name))
	}
	return took / createsInARow, errors.Join(errs...)
}

// coldStarts takes the first request of new instances, in new processes.
func (m *measurement) coldStarts(ctx context.Context) error {
	for round := range m.starts {
		for i := range m.both {
			c := m.both[(round+i)%len(m.both)]
			if err := c.start(ctx); err != nil {
				return err
			}
			m.report.add(opFirst, c.name, c.running.First)
			if err := c.list(ctx); err != nil { // it is the real thing that was started
				return fmt.Errorf("%s: after a start: %w", c.name, err)
			}
			if err := c.stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// summary is the middle and the ends of some samples.
type summary struct{ median, least, most time.Duration }

func summarize(samples []time.Duration) summary {
	s := slices.Sorted(slices.Values(samples))
	if len(s) == 0 {
		return summary{}
	}
	n := len(s)
	return summary{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]}
}
