package main

import (
	"strings"
	"testing"
	"time"

	"leger.run/leger/bench/trial"
)

// measured is a report in which every promise is kept: Leger takes a millisecond
// for everything, the others as long as given.
func measured(t *testing.T, others map[string]time.Duration) *report {
	t.Helper()
	r := newReport(t.TempDir())
	names := []string{"Leger", "setec", "setec, lazy", "PocketBase"}
	for _, name := range names {
		r.memory(name).started, r.memory(name).afterwards = 20<<20, 25<<20
		for _, op := range []string{opList, opRead, opCreate} {
			took, ok := others[name]
			if !ok {
				took = 10 * time.Millisecond
			}
			if name == "Leger" {
				took = time.Millisecond
			}
			for i := range 3 { // the ends must not matter
				r.samples.Add(op, name, took*time.Duration(1+9*(i/2)))
			}
		}
		for _, clients := range clientCounts() {
			r.addThroughput(name, clients, float64(1000+clients), time.Millisecond, 10)
		}
	}
	return r
}

func TestPromisesThatAreKeptPass(t *testing.T) {
	t.Parallel()
	if err := trial.Failure(measured(t, nil).verdicts()); err != nil {
		t.Error(err)
	}
}

func TestMissedPromiseFailsAndIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(*report)
		others map[string]time.Duration
		want   string
	}{
		"a slower list":    {others: map[string]time.Duration{"setec": 4 * time.Millisecond}, want: "setec's 101"},
		"a slower read":    {others: map[string]time.Duration{"PocketBase": 900 * time.Microsecond}, want: "read one: no slower than PocketBase"},
		"a slower create":  {others: map[string]time.Duration{"PocketBase": 900 * time.Microsecond}, want: "create: no slower"},
		"too much memory":  {spoil: func(r *report) { r.memory("Leger").afterwards = mostMemory }, want: "below 40 MB"},
		"a rate that sank": {spoil: func(r *report) { r.throughput["Leger"][1].perSecond = []float64{9999} }, want: "more clients"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := measured(t, c.others)
			if c.spoil != nil {
				c.spoil(r)
			}
			if err := trial.Failure(r.verdicts()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to name %q", err, c.want)
			}
		})
	}
}

// Absolute times belong to the machine.
func TestSlowCommandIsToldButDoesNotFail(t *testing.T) {
	t.Parallel()
	r := measured(t, nil)
	r.command = []commandResult{{"leger version", []time.Duration{time.Second}, 30 * time.Millisecond}}
	if err := trial.Failure(r.verdicts()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.markdown(), "| leger version: below 30 ms | 1000 ms | missed on this machine |") {
		t.Error(r.markdown())
	}
}
