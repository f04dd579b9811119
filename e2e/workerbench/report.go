package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
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
	machine string
	samples map[string]map[string][]time.Duration // by operation, by worker
	memory  map[string]int64                      // by worker
}

func newReport() *report {
	return &report{machine: machine(), samples: map[string]map[string][]time.Duration{}, memory: map[string]int64{}}
}

func (r *report) add(op, name string, took time.Duration) {
	if r.samples[op] == nil {
		r.samples[op] = map[string][]time.Duration{}
	}
	r.samples[op][name] = append(r.samples[op][name], took)
}

func (r *report) median(op, name string) time.Duration {
	return summarize(r.samples[op][name]).median
}

// share is Leger's throughput, where TypeScript's is 1: the middle of what the rounds
// say, since what else the machine does in a round falls on both.
func (r *report) share(op string) float64 {
	leger, typescript := r.samples[op][nameLeger], r.samples[op][nameTypeScript]
	var shares []float64
	for i := range min(len(leger), len(typescript)) {
		shares = append(shares, float64(typescript[i])/float64(max(1, leger[i])))
	}
	slices.Sort(shares)
	if n := len(shares); n > 0 {
		return (shares[(n-1)/2] + shares[n/2]) / 2
	}
	return 0
}

// verdict is one promise, and whether it is kept.
type verdict struct {
	promise, measured string
	kept              bool
}

func (r *report) verdicts() []verdict {
	share := func(promise, op string, least float64) verdict {
		got := r.share(op)
		return verdict{fmt.Sprintf("%s: at least %.1f of TypeScript's throughput", promise, least), fmt.Sprintf("%.2f", got), got >= least}
	}
	more := r.median(opFirst, nameLeger) - r.median(opFirst, nameTypeScript)
	return []verdict{
		share(opList, opList, leastList), share(opListMany, opListMany, leastList), share(opCreate, opCreate, leastCreate),
		{fmt.Sprintf("%s: at most %s more than TypeScript's", opFirst, mostFirst), short(more) + " more", more <= mostFirst},
	}
}

// failure names the promises that were not kept.
func (r *report) failure() error {
	var errs []error
	for _, v := range r.verdicts() {
		if !v.kept {
			errs = append(errs, fmt.Errorf("promise missed: %s: %s", v.promise, v.measured))
		}
	}
	return errors.Join(errs...)
}

func (r *report) markdown() string {
	var b strings.Builder
	line := func(format string, a ...any) { _, _ = fmt.Fprintf(&b, format+"\n", a...) }
	line("Measured on %s: %s.\n", time.Now().UTC().Format(time.DateOnly), r.machine)
	line("| promise | measured | verdict |\n|---|---|---|")
	for _, v := range r.verdicts() {
		mark := "kept"
		if !v.kept {
			mark = "**MISSED**"
		}
		line("| %s | %s | %s |", v.promise, v.measured, mark)
	}
	line("\nWith a ledger in both (not promised), Leger creates at %.2f of TypeScript's throughput.", r.share(opLedger))
	line("\n| | worker | median | min – max | samples |\n|---|---|---|---|---|")
	for _, op := range []string{opList, opListMany, opCreate, opLedger, opFirst} {
		for _, name := range []string{nameLeger, nameTypeScript} {
			s := summarize(r.samples[op][name])
			line("| %s | %s | %s | %s – %s | %d |", op, name, short(s.median), short(s.least), short(s.most), len(r.samples[op][name]))
		}
	}
	line("\nWith 8 clients the time is the run's, divided by the lists it gave. At the end workerd as a whole held %.0f MB with Leger in it, %.0f MB with the TypeScript worker.",
		float64(r.memory[nameLeger])/(1<<20), float64(r.memory[nameTypeScript])/(1<<20))
	return b.String()
}

func short(d time.Duration) string {
	if d.Abs() >= 10*time.Millisecond {
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f ms", float64(d)/1e6)
}

// machine says what the figures belong to.
func machine() string {
	text := fmt.Sprintf("%d cores shared by client and worker, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if one, _, found := strings.Cut(string(load), " "); found {
			text += ", load average before it " + one
		}
	}
	return text
}

// The tables stand between these lines of the file.
const (
	beginMark = "<!-- make bench-worker writes from here -->"
	endMark   = "<!-- make bench-worker writes to here -->"
)

func (r *report) writeInto(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, okBegin := bytes.Cut(text, []byte(beginMark))
	_, tail, okEnd := bytes.Cut(rest, []byte(endMark))
	if !okBegin || !okEnd {
		return fmt.Errorf("%s has no lines %q and %q", path, beginMark, endMark)
	}
	out := fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", head, beginMark, r.markdown(), endMark, tail)
	return os.WriteFile(path, out, 0o644)
}
