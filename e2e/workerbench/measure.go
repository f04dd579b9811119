package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"leger.run/leger/bench/trial"
)

// window is how long each worker lists for many clients at once.
const window = time.Second

const (
	listsInARow   = 5
	createsInARow = 5
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

func (m *measurement) inTurn(ctx context.Context, op string, sample func(context.Context, *contender) (time.Duration, error)) error {
	return trial.InTurn(m.both, m.rounds, func(c *contender, counts bool) error {
		took, err := sample(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if counts {
			m.report.samples.Add(op, c.name, took)
		}
		return nil
	})
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
	done, took, err := trial.AtOnce(manyClients, window, func(int, int) error { return c.list(ctx) })
	return took / time.Duration(max(1, done)), err
}

// creates makes secrets of new names, then, untimed, removes them: each sample finds
// 100 secrets.
func (m *measurement) creates(ctx context.Context, c *contender) (time.Duration, error) {
	return m.createsWith(ctx, c, c.create)
}

func (m *measurement) createsWithLedger(ctx context.Context, c *contender) (time.Duration, error) {
	return m.createsWith(ctx, c, c.createWithLedger)
}

func (m *measurement) createsWith(ctx context.Context, c *contender, create func(context.Context, trial.Secret) error) (time.Duration, error) {
	var made [createsInARow]trial.Secret
	for i := range made {
		m.made++
		made[i] = trial.Unused(m.made)
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
		errs = append(errs, c.remove(ctx, s.Name))
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
			m.report.samples.Add(opFirst, c.name, c.running.First)
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
