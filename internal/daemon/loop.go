package daemon

import (
	"context"
	"log/slog"
	"time"

	"leger.run/leger"
)

// Run reconciles at start, after writes, after failures with a growing wait, and
// now and then, until ctx is done. In between it sleeps.
func (k *Keeper) Run(ctx context.Context) {
	wake := &alarm{timer: time.NewTimer(0)}
	defer wake.timer.Stop()
	wait := k.cfg.RetryMin
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.cfg.Store.Changed():
			wake.within(k.cfg.Settle)
		case <-k.retry:
			wake.within(wait)
		case <-wake.timer.C:
			wake.set = false
			if k.once(ctx) {
				wait = k.cfg.RetryMin
				wake.within(k.cfg.Check)
				continue
			}
			wake.within(wait)
			wait = min(2*wait, k.cfg.RetryMax)
		}
	}
}

// once reconciles for the user it knows, and reports whether there is nothing to
// try again soon.
func (k *Keeper) once(ctx context.Context) bool {
	if err := k.takeTurn(ctx); err != nil {
		return true
	}
	defer k.giveTurn()
	k.mu.Lock()
	nobody := k.user.IsZero()
	before := k.podman.Error
	k.mu.Unlock()
	if nobody {
		return true
	}
	// By itself it removes nothing: what is gone from the store may be lost.
	report, err := k.reconcile(ctx, May{})
	switch {
	case ctx.Err() != nil:
		return true
	case err == nil:
		return !failed(report)
	}
	// Once per outage: it may last for days.
	level := slog.LevelDebug
	if before == nil || before.Code != leger.CodeOf(err) {
		level = slog.LevelWarn
	}
	k.cfg.Logger.Log(ctx, level, "Podman's secrets were not brought up to date; trying again", slog.Any("error", err))
	return false
}

// alarm is a timer that only ever moves closer.
type alarm struct {
	timer *time.Timer
	set   bool
	due   time.Time
}

func (a *alarm) within(d time.Duration) {
	due := time.Now().Add(d)
	if a.set && !due.Before(a.due) {
		return
	}
	a.set, a.due = true, due
	a.timer.Reset(d)
}
