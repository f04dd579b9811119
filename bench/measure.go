package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"leger.run/leger/bench/trial"
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

func (m *measurement) inTurn(ctx context.Context, op string, sample func(context.Context, contender) (time.Duration, error)) error {
	return trial.InTurn(m.all, m.rounds, func(c contender, counts bool) error {
		took, err := sample(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name(), err)
		}
		if counts {
			m.report.samples.Add(op, c.name(), took)
		}
		return nil
	})
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
		want[s.Name] = s.Value
	}
	for _, g := range got {
		if !maps.Equal(g, want) {
			return 0, fmt.Errorf("the list holds %d secrets that are not the %d stored", len(g), len(want))
		}
	}
	return took / listsInARow, nil
}

func (m *measurement) reads(ctx context.Context, c contender) (time.Duration, error) {
	first := rand.IntN(trial.SecretCount) //nolint:gosec // which secret is read first matters to nobody
	begin := time.Now()
	for i := range readsInARow {
		if err := readAndCheck(ctx, c, m.work.secrets[(first+i)%trial.SecretCount]); err != nil {
			return 0, err
		}
	}
	return time.Since(begin) / readsInARow, nil
}

func readAndCheck(ctx context.Context, c contender, s trial.Secret) error {
	v, err := c.read(ctx, s.Name)
	if err == nil && v != s.Value {
		err = fmt.Errorf("%s has another value than was stored", s.Name)
	}
	return err
}

// creates makes secrets of new names, then, untimed, removes them: each sample
// finds 100 secrets.
func (m *measurement) creates(ctx context.Context, c contender) (time.Duration, error) {
	var made [createsInARow]trial.Secret
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
		if err := errors.Join(readAndCheck(ctx, c, s), c.remove(ctx, s.Name)); err != nil {
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
			reads, took, err := trial.AtOnce(clients, window, func(client, call int) error {
				return readAndCheck(ctx, c, m.work.secrets[(client*7+call)%trial.SecretCount])
			})
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
