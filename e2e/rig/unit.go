package rig

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// readyTimeout is how long a unit may take to say that it is ready.
const readyTimeout = 30 * time.Second

// Unit describes a program to run under systemd in the machine, where its
// output goes to the journal and its end is noticed.
type Unit struct {
	// Name is the unit's, without ".service".
	Name string
	// Command is the program and its arguments; the program is looked up in
	// PATH, where [Bin] is first.
	Command []string
	// Env is K=V pairs.
	Env []string
	// Properties are systemd's, such as "Restart=always".
	Properties []string
	// ByUser runs it under the test user's systemd instead of the system's.
	ByUser bool
	// Type is systemd's service type, "exec" when empty.
	Type string
	// Ready, when not empty, is how a line of output begins that tells that the
	// program is ready; StartUnit waits for it.
	Ready string
}

// RunningUnit is a unit that was started.
type RunningUnit struct {
	m    *Machine
	unit Unit
	// ReadyLine is the rest of the line that began with Unit.Ready.
	ReadyLine string
}

// StartUnit starts a program under systemd and waits until it is ready, or ends
// the test with the program's output.
func (m *Machine) StartUnit(ctx context.Context, unit Unit) *RunningUnit {
	m.t.Helper()
	running := &RunningUnit{m: m, unit: unit}
	kind := unit.Type
	if kind == "" {
		kind = "exec"
	}
	args := append(running.manager(), "--quiet", "--unit="+unit.Name, "--service-type="+kind)
	for _, variable := range unit.Env {
		args = append(args, "--setenv="+variable)
	}
	for _, property := range unit.Properties {
		args = append(args, "--property="+property)
	}
	args = append(append(args, "--"), unit.Command...)
	if result := m.Run(ctx, running.opts(), "systemd-run", args...); result.Code != 0 {
		m.t.Fatalf("start %s: %s\njournal:\n%s", unit.Name, result, running.Journal(ctx))
	}
	if unit.Ready != "" {
		running.awaitReady(ctx)
	}
	return running
}

// awaitReady waits for the line that begins with Unit.Ready.
func (u *RunningUnit) awaitReady(ctx context.Context) {
	u.m.t.Helper()
	eventually(ctx, u.m.t, readyTimeout, u.unit.Name+" is ready", func(ctx context.Context) error {
		journal := u.Journal(ctx)
		for line := range strings.Lines(journal) {
			if rest, found := strings.CutPrefix(line, u.unit.Ready); found {
				u.ReadyLine = strings.TrimSpace(rest)
				return nil
			}
		}
		if state := u.State(ctx); state != "active" && state != "activating" {
			// Waiting longer does not help.
			u.m.t.Fatalf("%s is %s before it was ready:\n%s", u.unit.Name, state, journal)
		}
		return fmt.Errorf("no line %q yet in:\n%s", u.unit.Ready, journal)
	})
}

// State is systemd's ActiveState of the unit: "active", "failed", "inactive"…
// It is "inactive" also when the unit ended well and systemd forgot it.
func (u *RunningUnit) State(ctx context.Context) string {
	u.m.t.Helper()
	return u.show(ctx, "ActiveState")
}

// Journal is what the unit has written since it was last started, without
// times and names.
func (u *RunningUnit) Journal(ctx context.Context) string {
	u.m.t.Helper()
	args := []string{"--no-pager", "--output=cat", "_SYSTEMD_UNIT=" + u.unit.Name + ".service"}
	if u.unit.ByUser {
		args[2] = "_SYSTEMD_USER_UNIT=" + u.unit.Name + ".service"
	}
	if invocation := u.show(ctx, "InvocationID"); invocation != "" {
		args = append(args, "_SYSTEMD_INVOCATION_ID="+invocation)
	}
	return u.m.Root(ctx, Opts{}, "journalctl", args...).Stdout
}

// Stop stops the unit in good order and waits for it.
func (u *RunningUnit) Stop(ctx context.Context) {
	u.m.t.Helper()
	u.systemctl(ctx, "stop", u.unit.Name)
}

// Restart stops the unit and starts it again, and waits until it is ready. A
// unit that was stopped is gone: start it anew.
func (u *RunningUnit) Restart(ctx context.Context) {
	u.m.t.Helper()
	u.systemctl(ctx, "restart", u.unit.Name)
	if u.unit.Ready != "" {
		u.awaitReady(ctx)
	}
}

// Kill sends a signal, such as "KILL", to every process of the unit.
func (u *RunningUnit) Kill(ctx context.Context, signal string) {
	u.m.t.Helper()
	u.systemctl(ctx, "kill", "--signal="+signal, u.unit.Name)
}

// For returns the same unit for a subtest; see [Machine.For].
func (u *RunningUnit) For(t testing.TB) *RunningUnit {
	other := *u
	other.m = u.m.For(t)
	return &other
}

func (u *RunningUnit) systemctl(ctx context.Context, args ...string) {
	u.m.t.Helper()
	result := u.m.Run(ctx, u.opts(), "systemctl", append(u.manager(), args...)...)
	if result.Code != 0 {
		u.m.t.Fatalf("systemctl %s: %s\njournal:\n%s", strings.Join(args, " "), result, u.Journal(ctx))
	}
}

func (u *RunningUnit) show(ctx context.Context, property string) string {
	u.m.t.Helper()
	args := append(u.manager(), "show", "--value", "--property="+property, u.unit.Name)
	return strings.TrimSpace(u.m.Run(ctx, u.opts(), "systemctl", args...).Stdout)
}

// manager is the argument that picks the systemd the unit belongs to.
func (u *RunningUnit) manager() []string {
	if u.unit.ByUser {
		return []string{"--user"}
	}
	return []string{"--system"}
}

// opts is who may ask that systemd.
func (u *RunningUnit) opts() Opts {
	if u.unit.ByUser {
		return Opts{}
	}
	return Opts{As: "root"}
}
