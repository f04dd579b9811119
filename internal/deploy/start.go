package deploy

import (
	"context"
	"slices"
	"sync"
)

// start starts units of a generation and waits until all that are to run do, and
// have for a while. ErrUnhealthy when something does not, ErrInterrupted when ctx
// is cancelled.
func (e *Engine) start(ctx context.Context, g Generation, units, run []string, progress Progress) error {
	return e.bring(ctx, g, units, run, e.cfg.Units.Start, progress)
}

// verb starts or restarts a unit and waits for it.
type verb func(ctx context.Context, unit string) error

// bring is start with a verb.
func (e *Engine) bring(ctx context.Context, g Generation, units, run []string, do verb, progress Progress) error {
	begun := e.cfg.Clock.Now()
	limited, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	e.resetFailed(limited, units)
	w := e.watch(g, run, progress)
	failed, err := e.startAll(limited, g, units, do, w)
	if ctx.Err() != nil {
		return interrupted(ctx, "units may still be starting")
	}
	if err == nil && failed == "" {
		failed, err = w.settle(limited)
	}
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx, "units may still be starting")
	case failed != "":
		return e.failure(ctx, failed, begun, w, err)
	default:
		return err
	}
}

// startResult is how the start of one unit ended.
type startResult struct {
	unit string
	err  error
}

// startAll starts the units at once, because systemd orders them, and gives the
// first that fails. While units with a health check are on their way it looks at
// Podman, too: one that is unhealthy is not waited for until systemd's time is
// up, and one that is healthy is not waited for when systemd does not hear of it.
func (e *Engine) startAll(ctx context.Context, g Generation, units []string, do verb, w *watch) (failed string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results, waiting := begin(ctx, units, do, w.progress)
	var poll chan struct{}
	if e.cfg.Podman != nil && slices.ContainsFunc(g.Units, func(u Unit) bool { return u.Health && slices.Contains(units, u.Service) }) {
		poll = make(chan struct{}, 1)
		poll <- struct{}{}
	}
	for len(waiting) > 0 {
		select {
		case r, open := <-results:
			if !open {
				return failed, err
			}
			delete(waiting, r.unit)
			if r.err != nil && failed == "" {
				failed, err = r.unit, r.err
				cancel() // the others are stopped in a moment anyway
			}
		case <-poll:
			if unit := w.lookAtHealth(ctx, waiting); unit != "" && failed == "" {
				failed = unit
				cancel()
			}
			go func() {
				select {
				case <-e.cfg.Clock.After(e.cfg.Poll):
					poll <- struct{}{}
				case <-ctx.Done():
				}
			}()
		}
	}
	return failed, err
}

// begin starts the units and gives each one's result, and which are on their way.
func begin(ctx context.Context, units []string, do verb, progress Progress) (<-chan startResult, map[string]bool) {
	results, waiting := make(chan startResult, len(units)), map[string]bool{}
	var all sync.WaitGroup
	for _, unit := range units {
		progress.tell(Event{Step: StepStart, Unit: unit})
		waiting[unit] = true
		all.Go(func() { results <- startResult{unit, do(ctx, unit)} })
	}
	go func() {
		all.Wait()
		close(results)
	}()
	return results, waiting
}

// lookAtHealth asks Podman about the units that systemd still starts. It gives one
// that is unhealthy, and takes those out that have been healthy for long enough.
func (w *watch) lookAtHealth(ctx context.Context, waiting map[string]bool) (unhealthy string) {
	if err := w.askPodman(ctx); err != nil {
		return "" // systemd's word counts then
	}
	now := w.engine.cfg.Clock.Now()
	for _, unit := range w.names {
		switch {
		case !waiting[unit]:
		case w.health[unit] == unhealthyWord:
			return unit
		case w.health[unit] != healthyWord:
			delete(w.healthy, unit)
		default:
			since, known := w.healthy[unit]
			if !known {
				w.healthy[unit] = now
			} else if now.Sub(since) >= w.engine.cfg.Grace {
				w.unheard[unit] = true
				delete(waiting, unit)
				w.progress.tell(Event{Step: StepWait, Unit: unit, Note: "Podman calls it healthy, but systemd was not told"})
			}
		}
	}
	return ""
}
