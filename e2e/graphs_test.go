//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// graphBatch is how many graphs share a reboot, graphsAtOnce how many of those are
// deployed at the same time.
const (
	graphBatch   = 12
	graphsAtOnce = 6
)

// TestGraphs holds "a deployment ends in the new state or the old one" over random
// graphs of units: see internal/deploy/graph_machine_test.go. A graph is made from
// its number alone, so that a failure is found again.
//
//	LEGER_GRAPHS           which: "1-20" unless it is set; "7,31" is fine, too
//	LEGER_GRAPHS_MACHINES  how many machines work on them side by side; 1
//	LEGER_GRAPHS_LOG       a file with a line for each graph that has passed: those
//	                       that are in it already are left out
func TestGraphs(t *testing.T) {
	t.Parallel()
	g := &graphs{t: t, log: os.Getenv("LEGER_GRAPHS_LOG"), begun: time.Now()}
	todo := g.todo(env("LEGER_GRAPHS", "1-20"))
	machines, err := strconv.Atoi(env("LEGER_GRAPHS_MACHINES", "1"))
	if err != nil || machines < 1 {
		t.Fatalf("LEGER_GRAPHS_MACHINES: %v", err)
	}
	binary := g.build()
	batches := make(chan []string, len(todo))
	for len(todo) > 0 {
		n := min(graphBatch, len(todo))
		batches <- todo[:n]
		todo = todo[n:]
	}
	close(batches)
	t.Cleanup(func() { t.Logf("%d graphs passed in %.0f s", g.passed, time.Since(g.begun).Seconds()) })
	for i := range machines {
		t.Run(fmt.Sprintf("machine %d", i+1), func(t *testing.T) {
			t.Parallel()
			m := rig.Boot(t)
			m.BuildImage(t.Context())
			m.AddPrograms(binary)
			m.WriteTree(t.Context(), graphsDir, map[string]string{".keep": ""})
			for batch := range batches {
				g.run(t, m, batch)
			}
		})
	}
}

const graphsDir = rig.Home + "/graphs"

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

type graphs struct {
	t     *testing.T
	log   string
	begun time.Time

	mu     sync.Mutex
	passed int
}

// build makes the program that runs in the machine.
func (g *graphs) build() string {
	g.t.Helper()
	binary := filepath.Join(g.t.TempDir(), "graphs.test")
	build := exec.CommandContext(g.t.Context(), "go", "test", "-c", "-tags", "machine", "-o", binary, "leger.run/leger/internal/deploy")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		g.t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// todo reads "1-20,30" and leaves out what the log has.
func (g *graphs) todo(which string) []string {
	g.t.Helper()
	done := map[string]bool{}
	file, err := os.Open(g.log)
	switch {
	case err == nil:
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			done[lines.Text()] = true
		}
	case g.log != "" && !errors.Is(err, fs.ErrNotExist):
		g.t.Fatal(err)
	}
	var seeds []string
	for part := range strings.SplitSeq(which, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			g.t.Fatalf("LEGER_GRAPHS=%s: want numbers and ranges of them: 1-20,30", which)
		}
		for n := first; n <= last; n++ {
			if seed := strconv.Itoa(n); !done[seed] {
				seeds = append(seeds, seed)
			}
		}
	}
	g.t.Logf("graphs %s, %d of them to do", which, len(seeds))
	return seeds
}

var graphResult = regexp.MustCompile(`(?m)^    --- (PASS|FAIL): TestGraphs(Change|Booted)/(\d+) `)

// run brings a batch through its life, with a reboot in it.
func (g *graphs) run(t *testing.T, m *rig.Machine, batch []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	before, results := time.Now(), map[string]int{}
	for _, phase := range []string{"TestGraphsChange", "TestGraphsBooted"} {
		got := m.Run(ctx, rig.Opts{Dir: graphsDir, Env: []string{
			"LEGER_GRAPHS=" + strings.Join(batch, " "), "LEGER_GRAPHS_DIR=" + graphsDir,
		}}, "graphs.test", "-test.v", "-test.timeout=30m", fmt.Sprintf("-test.parallel=%d", graphsAtOnce), "-test.run=^"+phase+"$")
		for _, r := range graphResult.FindAllStringSubmatch(got.Stdout, -1) {
			if r[1] == "PASS" {
				results[r[3]]++
			}
		}
		if got.Code != 0 {
			t.Errorf("%s of %v: %s", phase, batch, got)
		}
		if phase == "TestGraphsChange" {
			m.Reboot(ctx)
		}
	}
	g.note(t, batch, results, time.Since(before))
}

// note counts what has passed in both phases and writes it into the log.
func (g *graphs) note(t *testing.T, batch []string, results map[string]int, took time.Duration) {
	t.Helper()
	var lines strings.Builder
	n := 0
	for _, seed := range batch {
		if results[seed] == 2 {
			n++
			lines.WriteString(seed + "\n")
		}
	}
	t.Logf("graphs %s to %s: %d of %d passed in %.0f s", batch[0], batch[len(batch)-1], n, len(batch), took.Seconds())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passed += n
	if n != len(batch) {
		t.Errorf("graphs that failed are among %v", batch)
	}
	if g.log == "" {
		return
	}
	file, err := os.OpenFile(g.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = file.WriteString(lines.String())
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Errorf("write %s: %v", g.log, err)
	}
}
