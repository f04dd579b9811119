package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"leger.run/leger/bench/trial"
)

// durability is what was found out about one server's acknowledged writes.
type durability struct {
	name, survives string
	creates, reads string // syncs of each, or why they were not counted
}

const (
	killTimes   = 5
	tracedCalls = 20
)

// checkDurability kills the server right after it acknowledged a write, several
// times, and looks for the write; and counts its syncs where strace is there.
func checkDurability(ctx context.Context, c contender) (durability, error) {
	d := durability{name: c.name(), survives: c.survives()}
	for i := range killTimes {
		s := trial.Secret{Name: fmt.Sprintf("KILLED_%d", i), Value: trial.Value("killed", i)}
		if err := c.create(ctx, s); err != nil {
			return d, err
		}
		if err := c.kill(); err != nil {
			return d, err
		}
		if err := c.start(ctx); err != nil {
			return d, fmt.Errorf("start again after kill -9: %w", err)
		}
		if err := readAndCheck(ctx, c, s); err != nil {
			return d, fmt.Errorf("an acknowledged write did not survive kill -9: %w", err)
		}
	}
	created := 0
	var err error
	d.creates, err = syncsOf(ctx, c.pid(), func() error {
		created++
		return c.create(ctx, trial.Secret{Name: fmt.Sprintf("TRACED_%d", created), Value: trial.Value("traced", created)})
	})
	if err != nil {
		return d, err
	}
	d.reads, err = syncsOf(ctx, c.pid(), func() error { _, err := c.read(ctx, "KILLED_0"); return err })
	return d, err
}

var syncCall = regexp.MustCompile(`(?m)\b(fsync|fdatasync)\(`)

// syncsOf counts, with strace, how often the process syncs a file for each call of
// do. Without strace, or without the right to use it, it says so.
func syncsOf(ctx context.Context, pid int, do func() error) (string, error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return "not counted: no strace", nil
	}
	dir, err := os.MkdirTemp("", "leger-bench-strace-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	trace := filepath.Join(dir, "trace")
	//nolint:gosec // numbers and our own path
	c := exec.CommandContext(ctx, "strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", trace, "-p", strconv.Itoa(pid))
	if err := c.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // says that the signal below ended it
		close(ended)
	}()
	if !traced(ctx, pid, ended) {
		return "not counted: strace may not look", nil
	}
	for range tracedCalls {
		if err := do(); err != nil {
			return "", err
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		return "", err
	}
	<-ended
	text, err := os.ReadFile(trace) //nolint:gosec // our own file
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.1f", float64(len(syncCall.FindAll(text, -1)))/tracedCalls), nil
}

// traced waits until every thread has a tracer, or strace gave up.
func traced(ctx context.Context, pid int, ended <-chan struct{}) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ended:
			return false
		case <-tick.C:
			if tracedNow(pid) {
				return true
			}
		}
	}
}

func tracedNow(pid int) bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		return false
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task) //nolint:gosec // below /proc
		if err != nil || strings.Contains(string(text), "TracerPid:\t0\n") {
			return false
		}
	}
	return true
}
