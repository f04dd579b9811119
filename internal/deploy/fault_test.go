package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

// scenario is a change of the machine that is cut off in every way at every call.
type scenario struct {
	name   string
	before func(testing.TB) *deploy.Request // nil request: nothing is installed
	act    func(context.Context, testing.TB, *deploy.Engine) error
}

func scenarios() []scenario {
	nothing := func(testing.TB) *deploy.Request { return nil }
	first := func(t testing.TB) *deploy.Request { req := v1(t); return &req }
	return []scenario{
		{"first install", nothing, func(ctx context.Context, t testing.TB, e *deploy.Engine) error {
			_, err := install(ctx, e, v1(t))
			return err
		}},
		{"update", first, func(ctx context.Context, t testing.TB, e *deploy.Engine) error {
			_, err := install(ctx, e, v2(t))
			return err
		}},
		{"update with another installer", first, func(ctx context.Context, t testing.TB, e *deploy.Engine) error {
			_, err := install(ctx, e, request(t, "App", "c3", "web.container", webV2, "data.volume", volume, "sub/db.container", dbV1))
			return err
		}},
		{"data moves on", func(t testing.TB) *deploy.Request {
			req := writing(t, "c1", "data/a", "1", "data/sub/b", "1")
			return &req
		}, func(ctx context.Context, t testing.TB, e *deploy.Engine) error {
			_, err := install(ctx, e, writing(t, "c2", "data/a", "2", "more/c", "1"))
			return err
		}},
		{"a script becomes executable", func(t testing.TB) *deploy.Request { req := scripted(t, "c1"); return &req }, func(ctx context.Context, t testing.TB, e *deploy.Engine) error {
			_, err := install(ctx, e, scripted(t, "c2", "run.sh"))
			return err
		}},
		{"remove", first, func(ctx context.Context, t testing.TB, e *deploy.Engine) error {
			_, err := e.Remove(ctx, releaseName(t, "App"), deploy.RemoveOptions{}, nil)
			// What was removed before it was cut off is removed.
			if errors.Is(err, leger.ErrNotFound) {
				return nil
			}
			return err
		}},
	}
}

// set puts the machine into the state before, and says how it is.
func (s scenario) set(t *testing.T, m *machine, e *deploy.Engine) (before string) {
	t.Helper()
	if req := s.before(t); req != nil {
		if _, err := install(t.Context(), e, *req); err != nil {
			t.Fatal(err)
		}
	}
	m.calls = nil
	return m.running()
}

// goal does the whole without faults: how the machine is after it, and in how
// many calls.
func (s scenario) goal(t *testing.T) (after string, calls int) {
	t.Helper()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	s.set(t, m, e)
	if err := s.act(t.Context(), t, e); err != nil {
		t.Fatal(err)
	}
	return m.running(), len(m.calls)
}

// One call fails, before or after it had its effect. What was there before is
// there again, and the next run does the whole. (Remove does not put back: it
// goes on the next time.)
func TestOneCallFails(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		goal, calls := s.goal(t)
		for call := 1; call <= calls; call++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/after=%v", s.name, call, after), func(t *testing.T) {
					t.Parallel()
					m := newMachine("key")
					e := m.engine(t.TempDir())
					before := s.set(t, m, e)
					m.fault = func(n int, _ string, isAfter bool) error {
						if n == call && isAfter == after {
							return leger.Wrap(leger.CodeUnavailable, errInjected, "fault")
						}
						return nil
					}
					err := s.act(t.Context(), t, e)
					m.fault = nil
					name := m.calls[min(call, len(m.calls))-1]
					// Forgetting a failure is a courtesy; Podman is asked again while units are
					// waited for.
					ignored := strings.HasPrefix(name, "reset ") || (name == "containers" && err == nil)
					switch {
					case ignored:
						if err != nil {
							t.Errorf("%s: %v", name, err)
						}
					case !errors.Is(err, errInjected):
						t.Errorf("%s: got %v, want the injected error", name, err)
					case s.name != "remove":
						if diff := cmp.Diff(before, m.running()); diff != "" {
							t.Errorf("%s: -before +after the failure:\n%s", name, diff)
						}
					}
					finish(t, s, m, e, goal)
				})
			}
		}
	}
}

// From one call on everything fails, putting back included. The error says that
// it is only half done, and the next run does the whole.
func TestEverythingFailsFromACallOn(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		goal, calls := s.goal(t)
		for call := 1; call <= calls; call++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/after=%v", s.name, call, after), func(t *testing.T) {
					t.Parallel()
					m := newMachine("key")
					e := m.engine(t.TempDir())
					s.set(t, m, e)
					m.fault = func(n int, _ string, isAfter bool) error {
						if n > call || (n == call && isAfter == after) {
							return leger.Wrap(leger.CodeUnavailable, errInjected, "fault")
						}
						return nil
					}
					err := s.act(t.Context(), t, e)
					m.fault = nil
					if last := strings.HasPrefix(m.calls[len(m.calls)-1], "reset "); err == nil && !last {
						t.Error("no error")
					}
					finish(t, s, m, e, goal)
				})
			}
		}
	}
}

// Ctrl-C at any call: the error says so, nothing is put back, and the next run
// goes on.
func TestInterruptedAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		goal, calls := s.goal(t)
		for call := 1; call <= calls; call++ {
			t.Run(fmt.Sprintf("%s/%d", s.name, call), func(t *testing.T) {
				t.Parallel()
				m := newMachine("key")
				e := m.engine(t.TempDir())
				s.set(t, m, e)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m.fault = func(n int, _ string, isAfter bool) error {
					if n == call && isAfter {
						cancel()
					}
					return nil
				}
				before := installed(m.running())
				if err := s.act(ctx, t, e); err != nil && !errors.Is(err, leger.ErrInterrupted) {
					t.Errorf("%s: got %v, want interrupted or nil", m.calls[call-1], err)
				}
				m.fault = nil
				// Units without their files, or with some of them, are no safe point.
				if got := installed(m.running()); got != before && got != installed(goal) {
					t.Errorf("%s: cut off halfway:\n%s", m.calls[call-1], got)
				}
				finish(t, s, m, e, goal)
			})
		}
	}
}

// installed leaves the files of a description.
func installed(description string) string {
	var lines []string
	for line := range strings.Lines(description) {
		if strings.Contains(line, " is ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

// kill cuts an action off at a call, as kill -9 would.
func (m *machine) kill(call int, after bool, act func()) {
	var dead atomic.Bool
	m.fault = func(n int, name string, isAfter bool) error {
		if n == call && isAfter == after {
			dead.Store(true)
		}
		switch {
		case !dead.Load():
			return nil
		case strings.HasPrefix(name, "start "):
			// Starts run beside each other; the panic comes with the next call.
			return leger.Wrap(leger.CodeUnavailable, errInjected, "fault")
		default:
			panic(died{})
		}
	}
	defer func() {
		m.fault = nil
		if r := recover(); r != nil && r != any(died{}) {
			panic(r)
		}
	}()
	act()
}

// died is what a killed process leaves instead of an error.
type died struct{}

// kill -9 at any call: no code of ours runs any more, and the next process goes on.
func TestKilledAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		goal, calls := s.goal(t)
		for call := 1; call <= calls; call++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/after=%v", s.name, call, after), func(t *testing.T) {
					t.Parallel()
					m, dir := newMachine("key"), t.TempDir()
					e := m.engine(dir)
					s.set(t, m, e)
					m.kill(call, after, func() { _ = s.act(t.Context(), t, e) })
					finish(t, s, m, m.engine(dir), goal)
				})
			}
		}
	}
}

// An update is killed, and what the user installs next is something else: nothing
// of the killed one stays.
func TestKilledAndThenAnotherVersion(t *testing.T) {
	t.Parallel()
	third := func(t testing.TB) deploy.Request {
		t.Helper()
		return request(t, "App", "c4", "third.container", dbV1)
	}
	for call := 1; call <= 40; call++ {
		t.Run(fmt.Sprint(call), func(t *testing.T) {
			t.Parallel()
			m, dir := newMachine("key"), t.TempDir()
			if _, err := install(t.Context(), m.engine(dir), v1(t)); err != nil {
				t.Fatal(err)
			}
			m.calls = nil
			before := m.running()
			m.kill(call, true, func() { _, _ = install(t.Context(), m.engine(dir), v2(t)) })
			if d, err := m.engine(dir).Status(t.Context(), releaseName(t, "App")); err != nil {
				t.Fatal(err)
			} else if d.Interrupted {
				// Another one does not come up, which brings the first back…
				m.broken["third.service"] = leger.UnitState{ActiveState: "failed"}
				if _, err := install(t.Context(), m.engine(dir), third(t)); !errors.Is(err, leger.ErrUnhealthy) {
					t.Fatal(err)
				}
				if diff := cmp.Diff(before, m.running()); diff != "" {
					t.Errorf("-before +after the failure:\n%s", diff)
				}
				delete(m.broken, "third.service")
			}
			// …and two more are killed before one comes through.
			for i, req := range []deploy.Request{v2(t), request(t, "App", "c5", "fifth.container", dbV1)} {
				m.calls = nil
				m.kill([]int{call, 1 + call*7%13}[i], true, func() { _, _ = install(t.Context(), m.engine(dir), req) })
			}
			if _, err := install(t.Context(), m.engine(dir), third(t)); err != nil {
				t.Fatal(err)
			}
			want := "/q/third.container is " + hashOf(dbV1) + "\nthird.service runs " + hashOf(dbV1)
			if diff := cmp.Diff(want, m.running()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// An update is killed, and when it is tried again a unit does not come up: what
// was there before the first try is there again, and runs.
func TestKilledAndThenUnhealthy(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		for call := 1; call <= 40; call++ {
			t.Run(fmt.Sprintf("first=%v/%d", first, call), func(t *testing.T) {
				t.Parallel()
				m, dir := newMachine("key"), t.TempDir()
				if !first {
					if _, err := install(t.Context(), m.engine(dir), v1(t)); err != nil {
						t.Fatal(err)
					}
				}
				m.calls = nil
				before := m.running()
				m.kill(call, true, func() { _, _ = install(t.Context(), m.engine(dir), v2(t)) })
				if d, err := m.engine(dir).Status(t.Context(), releaseName(t, "App")); err == nil && !d.Interrupted && d.Generation.Source.Commit == "c2" {
					return // it was done before it was killed
				}
				m.broken["new.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
				m.mu.Lock()
				if u := m.units["new.service"]; u != nil {
					u.ActiveState = "failed"
				}
				m.mu.Unlock()
				if _, err := install(t.Context(), m.engine(dir), v2(t)); !errors.Is(err, leger.ErrUnhealthy) {
					t.Fatalf("got %v, want unhealthy", err)
				}
				if diff := cmp.Diff(before, m.running()); diff != "" {
					t.Errorf("-before +after:\n%s", diff)
				}
				d, err := m.engine(dir).Status(t.Context(), releaseName(t, "App"))
				if first && !errors.Is(err, leger.ErrNotFound) || !first && (err != nil || !d.Healthy()) {
					t.Errorf("status %+v, %v", d, err)
				}
			})
		}
	}
}

// finish runs the same again without faults and holds the machine against the
// goal; a further run changes nothing.
func finish(t *testing.T, s scenario, m *machine, e *deploy.Engine, goal string) {
	t.Helper()
	if err := s.act(t.Context(), t, e); err != nil {
		t.Fatalf("again: %v\ncalls: %v", err, m.calls)
	}
	if diff := cmp.Diff(goal, m.running()); diff != "" {
		t.Fatalf("again: -want +got:\n%s\ncalls: %v", diff, m.calls)
	}
	m.calls = nil
	if err := s.act(t.Context(), t, e); err != nil {
		t.Fatalf("a third time: %v", err)
	}
	for _, call := range m.calls {
		if call != "read" && call != "states" && call != "dependents" && call != "containers" {
			t.Errorf("a third time: it did %s", call)
		}
	}
	if d, err := e.Status(t.Context(), releaseName(t, "App")); s.name != "remove" && (err != nil || !d.Healthy()) {
		t.Errorf("status: %+v, %v", d, err)
	}
}
