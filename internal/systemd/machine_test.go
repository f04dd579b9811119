//go:build machine

package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/systemd"
)

// These run inside the test machine, as its user.

func open(t *testing.T) *systemd.Manager {
	t.Helper()
	m, err := systemd.Open(systemd.Config{
		Address: os.Getenv("DBUS_SESSION_BUS_ADDRESS"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
		Runner: run.New(run.Config{}), Env: run.MinimalEnv(os.LookupEnv),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// unit writes a unit file of the user and takes it away after the test.
func unit(t *testing.T, m *systemd.Manager, name, text string) {
	t.Helper()
	file := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd", "user", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = m.Stop(ctx, name)
		_ = os.Remove(file)
		_ = m.Reload(ctx)
	})
}

func state(t *testing.T, m *systemd.Manager, name string) leger.UnitState {
	t.Helper()
	states, err := m.States(t.Context(), name)
	if err != nil || len(states) != 1 {
		t.Fatalf("states of %s: %v, %v", name, states, err)
	}
	return states[0]
}

func TestMachineAUnitStartsRestartsAndStops(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-ok.service", "[Service]\nExecStart=/bin/sleep 1000\n")
	if s := state(t, m, "leger-ok.service"); s.LoadState != "loaded" || s.ActiveState != "inactive" || !strings.HasSuffix(s.Source, "leger-ok.service") {
		t.Errorf("before: %+v", s)
	}
	for verb, act := range map[string]func(context.Context, string) error{"start": m.Start, "restart": m.Restart} {
		if err := act(t.Context(), "leger-ok.service"); err != nil {
			t.Fatal(err)
		}
		if s := state(t, m, "leger-ok.service"); s.ActiveState != "active" || s.Since.IsZero() || s.Job != "" {
			t.Errorf("after %s: %+v", verb, s)
		}
	}
	for range 2 {
		if err := m.Stop(t.Context(), "leger-ok.service"); err != nil {
			t.Fatal(err)
		}
	}
	if s := state(t, m, "leger-ok.service"); s.ActiveState != "inactive" {
		t.Errorf("after stop: %+v", s)
	}
}

func TestMachineAUnitThatFailsSaysWhy(t *testing.T) {
	m := open(t)
	// The program stays a moment: the journal looks up whose line it was by the
	// process that wrote it, and on a busy machine that was gone before it looked.
	unit(t, m, "leger-bad.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo the-reason; sleep 1; exit 3'\n")
	begin := time.Now()
	if err := m.Start(t.Context(), "leger-bad.service"); !errors.Is(err, leger.ErrUnhealthy) {
		t.Fatalf("start: %v, want unhealthy", err)
	}
	if s := state(t, m, "leger-bad.service"); s.ActiveState != "failed" || s.Result != "exit-code" || s.ExecMainStatus != 3 {
		t.Errorf("state %+v", s)
	}
	// The journal takes a moment to hold what was printed.
	deadline, tick := time.After(10*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		lines, err := m.Why(t.Context(), "leger-bad.service", begin, 20)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(lines, "the-reason") {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("the journal says %q", lines)
		case <-tick.C:
		}
	}
	if err := m.ResetFailed(t.Context(), "leger-bad.service"); err != nil {
		t.Error(err)
	}
	if s := state(t, m, "leger-bad.service"); s.ActiveState != "inactive" {
		t.Errorf("after reset: %+v", s)
	}
}

// systemd forgets a unit that is neither running nor failed nor wanted by
// another: a job that ran to its end looks like one that never ran. Nobody may
// conclude from its state that it has still to run.
func TestMachineAOneshotThatIsDoneIsForgotten(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
	before := state(t, m, "leger-once.service")
	if err := m.Start(t.Context(), "leger-once.service"); err != nil {
		t.Fatal(err)
	}
	after := state(t, m, "leger-once.service")
	if after.ActiveState != "inactive" || after.Result != "success" || after != before {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestMachineADependencyThatFails(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-dep.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
	unit(t, m, "leger-needs.service", "[Unit]\nRequires=leger-dep.service\nAfter=leger-dep.service\n[Service]\nExecStart=/bin/sleep 1000\n")
	if err := m.Start(t.Context(), "leger-needs.service"); !errors.Is(err, leger.ErrUnhealthy) {
		t.Errorf("start: %v, want unhealthy", err)
	}
}

// Units that pull each other up could not be stopped one after the other: the first
// was up again before the second had stopped, or its job was cancelled.
func TestMachineUnitsThatRestartEachOtherStop(t *testing.T) {
	m := open(t)
	names := []string{"leger-x.service", "leger-y.service", "leger-z.service"}
	for i, name := range names {
		next := names[(i+1)%len(names)]
		unit(t, m, name, "[Unit]\nStartLimitIntervalSec=0\nWants="+next+"\nUpholds="+next+"\n[Service]\nExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=0\n")
	}
	for range 5 {
		if err := m.Start(t.Context(), names[0]); err != nil {
			t.Fatal(err)
		}
		// Without a hold, Upholds= may start one anew on a slow machine before the last is told to stop.
		if err := errors.Join(m.Hold(t.Context(), names...), m.Stop(t.Context(), names...)); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if s := state(t, m, name); s.ActiveState != "inactive" || s.Job != "" {
				t.Errorf("after the stop: %+v", s)
			}
		}
		if err := m.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// What something else upholds starts again after each stop, until it is held; a
// reload ends the hold.
func TestMachineAHeldUnitStaysDown(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-up.service", "[Service]\nExecStart=/bin/sleep 1000\n")
	unit(t, m, "leger-keeper.service", "[Unit]\nUpholds=leger-up.service\n[Service]\nExecStart=/bin/sleep 1000\n")
	if err := m.Start(t.Context(), "leger-keeper.service"); err != nil {
		t.Fatal(err)
	}
	if err := m.Hold(t.Context(), "leger-up.service"); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "leger-up.service"); err != nil {
		t.Fatal(err)
	}
	if s := state(t, m, "leger-up.service"); s.ActiveState != "inactive" {
		t.Errorf("held: %+v", s)
	}
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), "leger-up.service"); err != nil {
		t.Fatal(err)
	}
	if s := state(t, m, "leger-up.service"); s.ActiveState != "active" {
		t.Errorf("after the reload: %+v", s)
	}
}

func TestMachineWhatStopsTogetherAndWhatIsNeeded(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-d.service", "[Service]\nExecStart=/bin/sleep 1000\n")
	unit(t, m, "leger-w.service", "[Unit]\nRequires=leger-d.service\nAfter=leger-d.service\n[Service]\nExecStart=/bin/sleep 1000\n")
	unit(t, m, "leger-p.service", "[Unit]\nPartOf=leger-w.service\n[Service]\nExecStart=/bin/sleep 1000\n")
	unit(t, m, "leger-off.service", "[Unit]\nPartOf=leger-d.service\n[Service]\nExecStart=/bin/sleep 1000\n")
	for _, name := range []string{"leger-w.service", "leger-p.service"} {
		if err := m.Start(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Dependents(t.Context(), "leger-d.service", "leger-p.service", "grün.service", "leger-none.service")
	if err != nil || len(got) != 1 || !slices.Equal(got["leger-d.service"], []string{"leger-w.service", "leger-p.service"}) {
		t.Errorf("dependents %v, %v", got, err)
	}
	needs, err := m.Needs(t.Context(), "leger-w.service")
	if err != nil || !slices.Contains(needs, "leger-d.service") || slices.Contains(needs, "leger-p.service") {
		t.Errorf("needs %v, %v", needs, err)
	}
}

// systemd leaves a name that it does not take out of its answers, and the plan
// ended with "systemd told the state of 0 units".
func TestMachineNamesThatSystemdDoesNotTake(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-ok.service", "[Service]\nExecStart=/bin/sleep 1000\n")
	names := []string{"grün.service", "leger-ok.service", "a+b.service", "a,b.service", "a b.service", ""}
	states, err := m.States(t.Context(), names...)
	if err != nil || len(states) != len(names) {
		t.Fatalf("%d states, %v", len(states), err)
	}
	for i, s := range states {
		want := "not-found"
		if names[i] == "leger-ok.service" {
			want = "loaded"
		}
		if s.Name != names[i] || s.LoadState != want {
			t.Errorf("%q: %+v, want %s", names[i], s, want)
		}
	}
}

func TestMachineWaitingEndsWithTheContext(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-slow.service", "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := m.Start(ctx, "leger-slow.service"); !errors.Is(err, leger.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start: %v, want unavailable", err)
	}
	if s := state(t, m, "leger-slow.service"); s.ActiveState != "activating" || s.Job != "queued" {
		t.Errorf("while it starts: %+v", s)
	}
}

func TestMachineUnitsThatDoNotExist(t *testing.T) {
	m := open(t)
	if s := state(t, m, "leger-none.service"); s.LoadState != "not-found" || s.ActiveState != "inactive" {
		t.Errorf("state %+v", s)
	}
	if err := m.Start(t.Context(), "leger-none.service"); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("start: %v, want not_found", err)
	}
	if err := m.Stop(t.Context(), "leger-none.service"); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := m.ResetFailed(t.Context(), "leger-none.service"); err != nil {
		t.Errorf("reset: %v", err)
	}
	for _, name := range []string{"a/b.service", "*.service", "-x.service", "plain"} {
		if err := m.Start(t.Context(), name); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("start %q: %v, want invalid_request", name, err)
		}
	}
	if !systemd.Lingering("leger-test") || systemd.Lingering("leger-nobody") {
		t.Error("lingering is not what the machine was built with")
	}
}

// The story: each reload ended every hold there was. A deployment that reloaded while
// another one removed a pod let a target start that pod again, in the moment in which
// its file went, and its container stayed. A hold is its own Manager's, until that one
// is gone.
func TestMachineAHoldOutlastsTheReloadsOfOthers(t *testing.T) {
	m, other, third := open(t), open(t), open(t)
	unit(t, m, "leger-held.service", "[Service]\nExecStart=/bin/sleep 1000\n")
	up := func(by *systemd.Manager) string {
		t.Helper()
		if err := by.Start(t.Context(), "leger-held.service"); err != nil {
			t.Fatal(err)
		}
		return state(t, by, "leger-held.service").ActiveState
	}
	for _, by := range []*systemd.Manager{m, third} {
		if err := by.Hold(t.Context(), "leger-held.service"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := other.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := up(other); got != "inactive" {
			t.Fatalf("after the reload of another: %s", got)
		}
	}
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := up(other); got != "inactive" {
		t.Errorf("one of the two that hold it has ended that: %s", got)
	}
	third.Close() // as the end of its process, which the kernel tells by the lock
	if err := other.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := up(other); got != "active" {
		t.Errorf("nobody holds it any more: %s", got)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "leger", "holds", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("lock files are left: %v, %v", left, err)
	}
}

// A program that failed at once was reported with what systemd says of it, and without
// its own words: journald looks which unit wrote a line, and found a process that had
// ended already.
func TestMachineLastWordsOfAShortProgram(t *testing.T) {
	m := open(t)
	unit(t, m, "leger-words@.service", "[Service]\nType=oneshot\nSyslogIdentifier=%N\n"+
		"ExecStart=/bin/sh -c 'echo the words of %i >&2; exit 3'\n")
	for n := range 100 {
		name := fmt.Sprintf("leger-words@%d.service", n)
		begin := time.Now()
		if err := m.Start(t.Context(), name); err == nil {
			t.Fatalf("%s did not fail", name)
		}
		want := fmt.Sprintf("the words of %d", n)
		if lines, err := m.Why(t.Context(), name, begin, 10); err != nil || !slices.Contains(lines, want) {
			t.Errorf("%s: %q, %v", name, lines, err)
		}
	}
}
