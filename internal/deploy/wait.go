package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"leger.run/leger"
)

// UnitFailure says how a unit failed. It is the cause of Apply's ErrUnhealthy.
type UnitFailure struct {
	State   leger.UnitState
	Journal []string // the newest lines about the unit, oldest first; a program may print anything
}

// Error shows the journal's last lines.
func (f *UnitFailure) Error() string {
	if len(f.Journal) == 0 {
		return "the journal says nothing about it"
	}
	const most = 3
	return "the journal ends with: " + strings.Join(f.Journal[max(0, len(f.Journal)-most):], " | ")
}

const (
	journalLines = 15
	// maxRestarts is how often systemd may restart a unit by itself before we stop
	// to believe that it will come up.
	maxRestarts = 3
)

// start starts units of a generation and waits until all that are to run do, and
// have for a while. ErrUnhealthy when something does not, ErrInterrupted when ctx
// is cancelled.
func (e *Engine) start(ctx context.Context, g Generation, units, run []string, progress Progress) error {
	begun := e.cfg.Clock.Now()
	limited, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	e.resetFailed(limited, units)
	failed, err := e.startAll(limited, units, progress)
	if ctx.Err() != nil {
		return interrupted(ctx, "units may still be starting")
	}
	if err == nil {
		failed, err = e.settle(limited, g, run, progress)
	}
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx, "units may still be starting")
	case failed != "":
		return e.failure(ctx, g, failed, begun, err)
	default:
		return err
	}
}

// startAll starts the units at once, because systemd orders them, and gives the
// first that fails.
func (e *Engine) startAll(ctx context.Context, units []string, progress Progress) (failed string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		unit string
		err  error
	}
	results := make(chan result, len(units))
	var all sync.WaitGroup
	for _, unit := range units {
		progress.tell(Event{Step: StepStart, Unit: unit})
		all.Go(func() { results <- result{unit, e.cfg.Units.Start(ctx, unit)} })
	}
	go func() {
		all.Wait()
		close(results)
	}()
	for r := range results {
		if r.err != nil && err == nil {
			failed, err = r.unit, r.err
			cancel() // the others are stopped in a moment anyway
		}
	}
	return failed, err
}

// settle watches units of a generation until all have been up for Config.Settle on end, or one has failed.
func (e *Engine) settle(ctx context.Context, g Generation, names []string, progress Progress) (failed string, err error) {
	w := watch{engine: e, seen: map[string]leger.UnitState{}, down: map[string]time.Time{}, progress: progress}
	for _, u := range g.Units {
		if slices.Contains(names, u.Service) {
			w.units = append(w.units, u)
		}
	}
	for len(w.units) > 0 {
		states, err := e.cfg.Units.States(ctx, names...)
		if err != nil {
			return "", err
		}
		done, failed := w.look(states)
		if done || failed != "" {
			return failed, nil
		}
		select {
		case <-ctx.Done():
			return w.notUp(), ctx.Err()
		case <-e.cfg.Clock.After(e.cfg.Poll):
		}
	}
	return "", nil
}

// watch is what settle remembers from one look to the next.
type watch struct {
	engine   *Engine
	units    []Unit
	seen     map[string]leger.UnitState
	first    map[string]int       // restarts at the first look
	down     map[string]time.Time // since when a unit has ended without a reason to
	upSince  time.Time            // since when all are up; zero: not all are
	progress Progress
}

func (w *watch) look(states []leger.UnitState) (done bool, failed string) {
	now, all := w.engine.cfg.Clock.Now(), true
	if w.first == nil {
		w.first = map[string]int{}
		for _, s := range states {
			w.first[s.Name] = s.Restarts
		}
	}
	for _, s := range states {
		i := slices.IndexFunc(w.units, func(u Unit) bool { return u.Service == s.Name })
		if i < 0 {
			continue
		}
		before, known := w.seen[s.Name]
		if !known || before.ActiveState != s.ActiveState || before.SubState != s.SubState {
			w.progress.tell(Event{Step: StepWait, Unit: s.Name, State: s})
		}
		w.seen[s.Name] = s
		if known && s.Restarts > before.Restarts {
			all = false
		}
		switch {
		case s.ActiveState == "failed", s.Restarts-w.first[s.Name] >= maxRestarts:
			return false, s.Name
		case running(w.units[i], s) && s.Job == "":
			delete(w.down, s.Name)
		case s.ActiveState == "inactive" && s.Job == "":
			all = false
			if since, is := w.down[s.Name]; !is {
				w.down[s.Name] = now
			} else if now.Sub(since) >= w.engine.cfg.Settle {
				return false, s.Name // it ended, and nothing starts it again
			}
		default:
			all = false
		}
	}
	switch {
	case !all:
		w.upSince = time.Time{}
	case w.upSince.IsZero():
		w.upSince = now
	}
	return all && now.Sub(w.upSince) >= w.engine.cfg.Settle, ""
}

// notUp gives a unit that was not up at the last look.
func (w *watch) notUp() string {
	for _, u := range w.units {
		if !running(u, w.seen[u.Service]) {
			return u.Service
		}
	}
	return w.units[0].Service
}

// failure explains why a unit of a generation is not up.
func (e *Engine) failure(ctx context.Context, g Generation, unit string, since time.Time, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.StepTimeout)
	defer cancel()
	f := &UnitFailure{State: leger.UnitState{Name: unit}}
	if states, err := e.cfg.Units.States(ctx, g.services()...); err == nil {
		f.State = culprit(unit, states)
	}
	unit = f.State.Name
	if lines, err := e.cfg.Units.Why(ctx, unit, since, journalLines); err == nil {
		f.Journal = lines
	}
	if cause != nil && !errors.Is(cause, leger.ErrUnhealthy) && !errors.Is(cause, context.DeadlineExceeded) {
		return leger.Wrap(leger.CodeOf(cause), errors.Join(cause, f), "%s could not be started", unit)
	}
	return leger.Wrap(leger.CodeUnhealthy, f, "%s did not come up (%s)", unit, describe(f.State, cause, e.cfg.StartTimeout)).
		WithHint("see what it says: journalctl --user -u %s", unit)
}

// culprit gives the state of a unit that is not up, or of the one that is to
// blame: a unit whose dependency failed has no result of its own.
func culprit(unit string, states []leger.UnitState) leger.UnitState {
	found := leger.UnitState{Name: unit}
	failed := func(s leger.UnitState) bool { return s.Result != "" && s.Result != "success" }
	for _, s := range states {
		if s.Name == unit {
			found = s
		}
	}
	if failed(found) {
		return found
	}
	for _, s := range states {
		if failed(s) {
			return s
		}
	}
	return found
}

func describe(s leger.UnitState, cause error, limit time.Duration) string {
	switch {
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Sprintf("not within %s; it is %s", limit, s.ActiveState)
	case s.Result != "" && s.Result != "success":
		return fmt.Sprintf("%s, exit code %d", s.Result, s.ExecMainStatus)
	case s.ActiveState == "inactive":
		return "it ended right after it was started"
	case s.Restarts > 0:
		return fmt.Sprintf("it was restarted %d times", s.Restarts)
	case s.ActiveState != "":
		return "it is " + s.ActiveState
	default:
		return "its state is not known"
	}
}
