package run_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"leger.run/leger/internal/run"
)

// TestKilledChild is the process that TestWhatItRunsEndsWithIt kills.
func TestKilledChild(t *testing.T) {
	if dir := os.Getenv("LEGER_TEST_KILLED"); dir != "" {
		_, err := run.New(run.Config{}).Run(t.Context(), sh(`echo $$ > "`+dir+`/new" && mv "`+dir+`/new" "`+dir+`/pid" && exec sleep 60`))
		t.Fatalf("it ended by itself: %v", err)
	}
}

// Killed while podman installed quadlets, leger left it to go on behind the back
// of the next leger, whose plan was no longer true when it was to be applied.
func TestWhatItRunsEndsWithIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Log("only Linux can do this")
		return
	}
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilledChild$")
	child.Env = append(os.Environ(), "LEGER_TEST_KILLED="+dir)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	await(t, "the program runs", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	await(t, "the program has ended, too", func() bool {
		// A zombie that nobody waits for has ended as well.
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// await waits for a condition.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline, tick := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("not in 10 s: %s", what)
		case <-tick.C:
		}
	}
}
