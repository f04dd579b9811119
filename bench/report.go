package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"leger.run/leger/bench/trial"
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
	measured   string // what the figures belong to
	order      []string
	samples    trial.Samples
	resting    map[string]*resting
	throughput map[string]map[int]*throughput
	durability []durability
	command    []commandResult
}

func newReport(dir string) *report {
	return &report{
		measured: trial.Measured("data on " + fileSystem(dir)), samples: trial.Samples{},
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

// ratio says how many times longer a server takes than Leger.
func (r *report) ratio(op, name string) float64 {
	mine := trial.Summarize(r.samples[op][r.order[0]]).Median
	return float64(trial.Summarize(r.samples[op][name]).Median) / float64(mine)
}

func (r *report) verdicts() []trial.Verdict {
	names := r.order
	timesAsFast := func(promise, op, name string, least float64) trial.Verdict {
		got := r.ratio(op, name)
		return trial.Verdict{Promise: promise, Measured: fmt.Sprintf("%.2f × as fast", got), Kept: got >= least}
	}
	// What setec promises costs little where the disk syncs fast, and then setec wins: it
	// answers from memory.
	advisory := func(v trial.Verdict) trial.Verdict {
		v.Advisory = true
		return v
	}
	all := []trial.Verdict{
		timesAsFast("one call for 100 secrets: at least 5 × as fast as setec's 101", opList, names[1], 5),
		timesAsFast("the same, were setec's audit log not synced", opList, names[2], 5),
		timesAsFast("one call for 100 secrets: no slower than PocketBase's", opList, names[3], 1/slack),
		timesAsFast("create: no slower than PocketBase at equal durability", opCreate, names[3], 1/slack),
		timesAsFast("read one: no slower than PocketBase at equal durability", opRead, names[3], 1/slack),
		advisory(timesAsFast("create: no slower than setec, whose writes survive less", opCreate, names[1], 1/slack)),
		advisory(timesAsFast("read one: no slower than setec, whose writes survive less", opRead, names[1], 1/slack)),
	}
	one := trial.Summarize(r.throughput[names[0]][1].perSecond).Median
	best := 0.0
	for _, clients := range clientCounts()[1:] {
		best = math.Max(best, trial.Summarize(r.throughput[names[0]][clients].perSecond).Median)
	}
	all = append(all, trial.Verdict{
		Promise:  "more clients read more, until the cores are full",
		Measured: fmt.Sprintf("%.2f × one client's rate", best/one), Kept: best > one, Advisory: runtime.NumCPU() == 1,
	})
	rest := r.resting[names[0]]
	all = append(all, trial.Verdict{
		Promise:  "leger-server at rest below 40 MB",
		Measured: fmt.Sprintf("%s after the start, %s after the run", megabytes(rest.started), megabytes(rest.afterwards)),
		Kept:     max(rest.started, rest.afterwards) < mostMemory,
	})
	for _, c := range r.command {
		if c.limit > 0 {
			s := trial.Summarize(c.took)
			all = append(all, trial.Verdict{
				Promise:  fmt.Sprintf("%s: below %s", c.name, trial.Short(c.limit)),
				Measured: trial.Short(s.Median), Kept: s.Median < c.limit, Advisory: true,
			})
		}
	}
	return all
}

func (r *report) markdown() string {
	var b strings.Builder
	line := func(format string, a ...any) { _, _ = fmt.Fprintf(&b, format+"\n", a...) }
	line("%s\n### Promises\n\n%s", r.measured, trial.VerdictTable(r.verdicts()))
	line("### One client\n\n| | server | median | min – max | × Leger's time |\n|---|---|---|---|---|")
	for _, op := range []string{opList, opRead, opCreate} {
		for _, name := range r.order {
			s := trial.Summarize(r.samples[op][name])
			line("| %s | %s | %s | %s – %s | %.2f |", op, name, trial.Short(s.Median), trial.Short(s.Least), trial.Short(s.Most), r.ratio(op, name))
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
			s := trial.Summarize(t.perSecond)
			_, _ = fmt.Fprintf(&row, " | %.0f (%.0f – %.0f)", s.Median, s.Least, s.Most)
			cpu, reads = cpu+t.cpu, reads+t.reads
		}
		line("| %s%s | %s |", name, row.String(), trial.Short(cpu/time.Duration(max(reads, 1))))
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
		s := trial.Summarize(c.took)
		line("| %s | %s | %s – %s | %d |", c.name, trial.Short(s.Median), trial.Short(s.Least), trial.Short(s.Most), len(c.took))
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

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
