package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// status is what the kernel tells of a server's process.
func (s *server) status() string {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// TestLimitOfLockedMemory: where there is one, too small for what Go maps, the server runs
// without. That it locks its memory where there is none is TestServerUnit's, on the machine.
func TestLimitOfLockedMemory(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := start(t, data, nil, "--listen", "127.0.0.1:0")
	var limit unix.Rlimit
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_MEMLOCK, nil, &limit); err != nil {
		t.Fatal(err)
	}
	locked := !strings.Contains(s.status(), "VmLck:\t       0 kB")
	if unlimited := limit.Cur == unix.RLIM_INFINITY; locked != unlimited {
		t.Errorf("memory is locked: %t; may be without limit: %t", locked, unlimited)
	}
}

// TestNoCoreDumps: neither a crash nor another process of the user reads the memory.
func TestNoCoreDumps(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), nil)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max core file size") && strings.Fields(line)[4] != "0" {
			t.Error(line)
		}
	}
	// What is not dumpable is root's in /proc (proc(5)); as root that shows nothing.
	if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/mem", s.cmd.Process.Pid)); os.Getuid() != 0 && err == nil {
		t.Error("its memory can be read")
	}
}
