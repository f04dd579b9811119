package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"
)

// slack is the noise of a median on a machine that does other things too: "no
// slower" means not slower by more than this.
const slack = 1.05

// mostMemory is what leger-server may hold at rest, in bytes.
const mostMemory = 40 << 20

type resting struct{ started, afterwards int64 }

type throughput struct {
	perSecond []float64
	cpu       time.Duration
	reads     int64
}

// report collects what was measured, in the order in which it came.
type report struct {
	machine    string
	order      []string
	samples    map[string]map[string][]time.Duration // by operation, by server
	resting    map[string]*resting
	throughput map[string]map[int]*throughput
	durability []durability
	command    []commandResult
}

func newReport(dir string) *report {
	return &report{
		machine: machine(dir), samples: map[string]map[string][]time.Duration{},
		resting: map[string]*resting{}, throughput: map[string]map[int]*throughput{},
	}
}

func (r *report) memory(name string) *resting {
	if r.resting[name] == nil {
		r.order = append(r.order, name)
		r.resting[name] = &resting{}
		r.throughput[name] = map[int]*throughput{}
	}
	return r.resting[name]
}

func (r *report) add(op, name string, took time.Duration) {
	if r.samples[op] == nil {
		r.samples[op] = map[string][]time.Duration{}
	}
	r.samples[op][name] = append(r.samples[op][name], took)
}

func (r *report) addThroughput(name string, clients int, perSecond float64, cpu time.Duration, reads int64) {
	t := r.throughput[name][clients]
	if t == nil {
		t = &throughput{}
		r.throughput[name][clients] = t
	}
	t.perSecond = append(t.perSecond, perSecond)
	t.cpu += cpu
	t.reads += reads
}

// verdict is one promise, and whether it is kept.
type verdict struct {
	promise, measured string
	kept              bool
	decides           bool // a broken one fails the run
}

// told is a verdict that fails nothing. What setec promises costs little where the
// disk syncs fast, and then it wins: it answers from memory.
func told(v verdict) verdict {
	v.decides = false
	return v
}

func (v verdict) mark() string {
	switch {
	case v.kept:
		return "kept"
	case v.decides:
		return "**MISSED**"
	default:
		return "missed on this machine"
	}
}

// ratio says how many times longer a server takes than Leger.
func (r *report) ratio(op, name string) float64 {
	mine := summarize(r.samples[op][r.order[0]]).median
	return float64(summarize(r.samples[op][name]).median) / float64(mine)
}

func (r *report) verdicts() []verdict {
	names := r.order
	timesAsFast := func(promise, op, name string, least float64) verdict {
		got := r.ratio(op, name)
		return verdict{promise, fmt.Sprintf("%.2f × as fast", got), got >= least, true}
	}
	all := []verdict{
		timesAsFast("one call for 100 secrets: at least 5 × as fast as setec's 101", opList, names[1], 5),
		timesAsFast("the same, were setec's audit log not synced", opList, names[2], 5),
		timesAsFast("one call for 100 secrets: no slower than PocketBase's", opList, names[3], 1/slack),
		timesAsFast("create: no slower than PocketBase at equal durability", opCreate, names[3], 1/slack),
		timesAsFast("read one: no slower than PocketBase at equal durability", opRead, names[3], 1/slack),
		told(timesAsFast("create: no slower than setec, whose writes survive less", opCreate, names[1], 1/slack)),
		told(timesAsFast("read one: no slower than setec, whose writes survive less", opRead, names[1], 1/slack)),
	}
	one := summarize(r.throughput[names[0]][1].perSecond).median
	best := 0.0
	for _, clients := range clientCounts()[1:] {
		best = math.Max(best, summarize(r.throughput[names[0]][clients].perSecond).median)
	}
	all = append(all, verdict{
		"more clients read more, until the cores are full", fmt.Sprintf("%.2f × one client's rate", best/one),
		best > one, runtime.NumCPU() > 1,
	})
	rest := r.resting[names[0]]
	all = append(all, verdict{
		"leger-server at rest below 40 MB", fmt.Sprintf("%s after the start, %s after the run", megabytes(rest.started), megabytes(rest.afterwards)),
		max(rest.started, rest.afterwards) < mostMemory, true,
	})
	for _, c := range r.command {
		if c.limit > 0 {
			s := summarize(c.took)
			all = append(all, verdict{
				fmt.Sprintf("%s: below %s", c.name, short(c.limit)), short(s.median), s.median < c.limit, false,
			})
		}
	}
	return all
}

// failure names the promises that decide and were not kept.
func (r *report) failure() error {
	var errs []error
	for _, v := range r.verdicts() {
		if v.decides && !v.kept {
			errs = append(errs, fmt.Errorf("promise missed: %s: %s", v.promise, v.measured))
		}
	}
	return errors.Join(errs...)
}

func (r *report) markdown() string {
	var b strings.Builder
	line := func(format string, a ...any) { _, _ = fmt.Fprintf(&b, format+"\n", a...) }
	line("Measured on %s: %s.\n", time.Now().UTC().Format(time.DateOnly), r.machine)

	line("### Promises\n\n| promise | measured | verdict |\n|---|---|---|")
	for _, v := range r.verdicts() {
		line("| %s | %s | %s |", v.promise, v.measured, v.mark())
	}
	line("\n### One client\n\n| | server | median | min – max | × Leger's time |\n|---|---|---|---|---|")
	for _, op := range []string{opList, opRead, opCreate} {
		for _, name := range r.order {
			s := summarize(r.samples[op][name])
			line("| %s | %s | %s | %s – %s | %.2f |", op, name, short(s.median), short(s.least), short(s.most), r.ratio(op, name))
		}
	}
	line("\n### Many clients reading one secret at a time, reads a second\n")
	line("| server | 1 client | 2 clients | 4 clients | 16 clients | server CPU per read |\n|---|---|---|---|---|---|")
	for _, name := range r.order {
		var row strings.Builder
		var cpu time.Duration
		var reads int64
		for _, clients := range clientCounts() {
			t := r.throughput[name][clients]
			s := summarize(t.perSecond)
			_, _ = fmt.Fprintf(&row, " | %.0f (%.0f – %.0f)", s.median, s.least, s.most)
			cpu, reads = cpu+t.cpu, reads+t.reads
		}
		line("| %s%s | %s |", name, row.String(), short(cpu/time.Duration(max(reads, 1))))
	}
	line("\n### Resident memory at rest\n\n| server | after the start | after the run |\n|---|---|---|")
	for _, name := range r.order {
		m := r.resting[name]
		line("| %s | %s | %s |", name, megabytes(m.started), megabytes(m.afterwards))
	}
	r.commandTable(line)
	line("\n### What an acknowledged write survives\n\n| server | survives | syncs per create | syncs per read |\n|---|---|---|---|")
	for _, d := range r.durability {
		line("| %s | %s | %s | %s |", d.name, d.survives, d.creates, d.reads)
	}
	return b.String()
}

func (r *report) commandTable(line func(string, ...any)) {
	if len(r.command) == 0 {
		return
	}
	line("\n### The command\n\n| | median | min – max | runs |\n|---|---|---|---|")
	for _, c := range r.command {
		s := summarize(c.took)
		line("| %s | %s | %s – %s | %d |", c.name, short(s.median), short(s.least), short(s.most), len(c.took))
	}
}

func short(d time.Duration) string {
	switch {
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	default:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

// machine says what the figures belong to: cores, system, file system, and how
// much else was going on when the measurement began.
func machine(dir string) string {
	text := fmt.Sprintf("%d cores shared by client and server, %s/%s, %s, data on %s",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), fileSystem(dir))
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if one, _, found := strings.Cut(string(load), " "); found {
			text += ", load average before it " + one
		}
	}
	return text
}

// fileSystem is that of the longest mount point above dir.
func fileSystem(dir string) string {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "an unnamed file system"
	}
	kind, longest := "an unnamed file system", 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < longest {
			continue
		}
		if at := strings.TrimSuffix(f[1], "/"); dir == f[1] || strings.HasPrefix(dir, at+"/") {
			kind, longest = f[2], len(f[1])
		}
	}
	return kind
}

// The tables stand between these lines of the file.
const (
	beginMark = "<!-- make bench writes from here -->"
	endMark   = "<!-- make bench writes to here -->"
)

func (r *report) writeInto(path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // the caller names it
	if err != nil {
		return err
	}
	head, rest, okBegin := bytes.Cut(text, []byte(beginMark))
	_, tail, okEnd := bytes.Cut(rest, []byte(endMark))
	if !okBegin || !okEnd {
		return fmt.Errorf("%s has no lines %q and %q", path, beginMark, endMark)
	}
	out := fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", head, beginMark, r.markdown(), endMark, tail)
	return os.WriteFile(path, out, 0o644) //nolint:gosec // a page of the documentation
}
