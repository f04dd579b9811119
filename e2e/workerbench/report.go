package main

import (
	"fmt"
	"strings"
	"time"

	"leger.run/leger/bench/trial"
)

// What is measured.
const (
	opList     = "list and open 100 secrets, 1 client"
	opListMany = "list and open 100 secrets, 8 clients"
	opCreate   = "create one secret, 1 client"
	// Nothing is promised of this: it tells what of opCreate's cost is the ledger's.
	opLedger = "create one secret with a ledger in both"
	opFirst  = "first request of a new instance"
)

// What is promised: shares of the TypeScript worker's throughput, and how much
// longer the first request may take, in which Go starts.
const (
	leastList   = 0.8
	leastCreate = 0.7
	mostFirst   = 100 * time.Millisecond
)

// report collects what was measured.
type report struct {
	measured string // what the figures belong to
	samples  trial.Samples
	memory   map[string]int64 // of workerd as a whole in bytes, by worker
}

func newReport() *report {
	return &report{measured: trial.Measured(), samples: trial.Samples{}, memory: map[string]int64{}}
}

func (r *report) median(op, name string) time.Duration {
	return trial.Summarize(r.samples[op][name]).Median
}

// share is Leger's throughput, where TypeScript's is 1: the middle of what the rounds
// say, since what else the machine does in a round falls on both.
func (r *report) share(op string) float64 {
	leger, typescript := r.samples[op][nameLeger], r.samples[op][nameTypeScript]
	var shares []float64
	for i := range min(len(leger), len(typescript)) {
		shares = append(shares, float64(typescript[i])/float64(max(1, leger[i])))
	}
	return trial.Summarize(shares).Median
}

func (r *report) verdicts() []trial.Verdict {
	share := func(promise, op string, least float64) trial.Verdict {
		got := r.share(op)
		return trial.Verdict{
			Promise:  fmt.Sprintf("%s: at least %.1f of TypeScript's throughput", promise, least),
			Measured: fmt.Sprintf("%.2f", got), Kept: got >= least,
		}
	}
	more := r.median(opFirst, nameLeger) - r.median(opFirst, nameTypeScript)
	return []trial.Verdict{
		share(opList, opList, leastList), share(opListMany, opListMany, leastList), share(opCreate, opCreate, leastCreate),
		{
			Promise:  fmt.Sprintf("%s: at most %s more than TypeScript's", opFirst, mostFirst),
			Measured: trial.Short(more) + " more", Kept: more <= mostFirst,
		},
	}
}

func (r *report) markdown() string {
	var b strings.Builder
	line := func(format string, a ...any) { _, _ = fmt.Fprintf(&b, format+"\n", a...) }
	line("%s\n%s", r.measured, trial.VerdictTable(r.verdicts()))
	line("With a ledger in both (not promised), Leger creates at %.2f of TypeScript's throughput.", r.share(opLedger))
	line("\n| | worker | median | min – max | samples |\n|---|---|---|---|---|")
	for _, op := range []string{opList, opListMany, opCreate, opLedger, opFirst} {
		for _, name := range []string{nameLeger, nameTypeScript} {
			s := trial.Summarize(r.samples[op][name])
			line("| %s | %s | %s | %s – %s | %d |", op, name, trial.Short(s.Median), trial.Short(s.Least), trial.Short(s.Most), len(r.samples[op][name]))
		}
	}
	line("\nWith 8 clients the time is the run's, divided by the lists it gave. At the end workerd as a whole held %.0f MB with Leger in it, %.0f MB with the TypeScript worker.",
		float64(r.memory[nameLeger])/(1<<20), float64(r.memory[nameTypeScript])/(1<<20))
	return b.String()
}
