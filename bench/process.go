package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// quiet is how long a server is left alone before its memory is looked at.
const quiet = 2 * time.Second

// residentAtRest gives the resident memory of a server that nobody has called for
// a while, in bytes.
func residentAtRest(ctx context.Context, c contender) (int64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(quiet):
	}
	return resident(ctx, c.pid())
}

// resident asks the kernel, or ps(1) where there is no /proc.
func resident(ctx context.Context, pid int) (int64, error) {
	if runtime.GOOS != "linux" {
		out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
		if err != nil {
			return 0, fmt.Errorf("ask ps for the memory of process %d: %w", pid, err)
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		return kib << 10, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("the kernel does not tell VmRSS")
}

// cpuTime is what all threads of a process have used, zero where /proc does not
// tell: it is reported, not judged.
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		if err != nil {
			continue // the thread ended meanwhile, or the kernel keeps no such count
		}
		if f := strings.Fields(string(text)); len(f) > 0 {
			ns, err := strconv.ParseInt(f[0], 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(ns)
		}
	}
	return sum, nil
}
