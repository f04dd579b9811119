package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
)

// UnitFailure says how a unit failed. It is the cause of Apply's ErrUnhealthy.
type UnitFailure struct {
	State   leger.UnitState
	Health  string   // of its container, as Podman has it; empty: not known, or no check
	Check   []string // what the health check printed last
	Journal []string // the newest lines of its program, oldest first; it may print anything
	falls   int      // how often it has ended while it was waited for
}

// Error shows the last lines of the health check, or of the program.
func (f *UnitFailure) Error() string {
	last := func(lines []string) string { return strings.Join(lines[max(0, len(lines)-linesInError):], " | ") }
	switch {
	case len(f.Check) > 0:
		return "the check says: " + last(f.Check)
	case len(f.Journal) > 0:
		return "it says: " + last(f.Journal)
	default:
		return "the journal says nothing about it"
	}
}

// linesInError is how many lines of a program an error carries.
const linesInError = 3

// Earlier gives the lines of the program that Error leaves out.
func (f *UnitFailure) Earlier() []string {
	if len(f.Check) > 0 {
		return f.Journal
	}
	return f.Journal[:max(0, len(f.Journal)-linesInError)]
}

// failure explains why a unit of a generation is not up. Where one that it needs
// has failed it speaks of that one.
func (e *Engine) failure(ctx context.Context, unit string, since time.Time, w *watch, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.StepTimeout)
	defer cancel()
	f := &UnitFailure{State: e.culprit(ctx, unit), Health: w.health[unit], falls: len(w.fallen[unit])}
	culprit, needed := f.State.Name, ""
	if culprit != unit {
		f.Health, f.falls, needed = w.health[culprit], len(w.fallen[culprit]), ", and "+unit+" needs it"
	}
	if lines, err := e.cfg.Units.Why(ctx, culprit, since, journalLines); err == nil {
		f.Journal = lines
	}
	if f.Health == unhealthyWord && e.cfg.Podman != nil {
		if text, err := e.cfg.Podman.HealthOutput(ctx, w.named[culprit]); err == nil {
			f.Check = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
		}
	}
	if cause != nil && !errors.Is(cause, leger.ErrUnhealthy) && !errors.Is(cause, context.DeadlineExceeded) {
		return leger.Wrap(leger.CodeOf(cause), errors.Join(cause, f), "%s could not be started%s", culprit, needed)
	}
	return leger.Wrap(leger.CodeUnhealthy, f, "%s did not come up (%s)%s", culprit, f.describe(cause, e.cfg.StartTimeout), needed).
		WithHint("see what it says: journalctl --user -u %s", culprit)
}

// culprit gives the state of a unit that is not up, or of the one that is to blame:
// a unit whose dependency failed has no result of its own.
func (e *Engine) culprit(ctx context.Context, unit string) leger.UnitState {
	found := leger.UnitState{Name: unit}
	if states, err := e.cfg.Units.States(ctx, unit); err == nil && len(states) == 1 {
		found = states[0]
	}
	failed := func(s leger.UnitState) bool { return s.Result != "" && s.Result != "success" }
	if failed(found) || awake(found) {
		return found
	}
	needs, err := e.cfg.Units.Needs(ctx, unit)
	if err != nil {
		return found
	}
	states, err := e.cfg.Units.States(ctx, needs...)
	if err != nil {
		return found
	}
	// The farthest: the others failed because of it.
	for _, s := range slices.Backward(states) {
		if failed(s) {
			return s
		}
	}
	return found
}

// describe says in a few words how the unit is.
func (f *UnitFailure) describe(cause error, limit time.Duration) string {
	s := f.State
	switch {
	case f.Health == unhealthyWord:
		return "its health check fails"
	case errors.Is(cause, context.DeadlineExceeded) && f.Health == startingWord:
		return fmt.Sprintf("not within %s; its health check has not passed yet", limit)
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Sprintf("not within %s; it is %s", limit, s.ActiveState)
	case s.Result != "" && s.Result != "success":
		return fmt.Sprintf("%s, exit code %d", s.Result, s.ExecMainStatus)
	case s.ActiveState == "inactive":
		return "it ended right after it was started"
	case s.Restarts > 0:
		return fmt.Sprintf("it was restarted %d times", s.Restarts)
	case f.falls >= maxRestarts:
		return fmt.Sprintf("it ended and was started again %d times", f.falls)
	case s.ActiveState != "":
		return "it is " + s.ActiveState
	default:
		return "its state is not known"
	}
}
