package deploy

import (
	"context"
	"slices"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

const (
	journalLines = 15
	// maxRestarts is how often systemd may restart a unit by itself before we stop
	// to believe that it will come up.
	maxRestarts = 3
	// maxSilence is how often Podman may fail to answer on end.
	maxSilence = 5

	startingWord, healthyWord, unhealthyWord = "starting", "healthy", "unhealthy"
)

// watch is what waiting for units remembers from one look to the next.
type watch struct {
	engine   *Engine
	names    []string // of the units that are to run
	units    map[string]Unit
	progress Progress

	asked   time.Time // when the last look began: answers are no newer than that
	seen    map[string]leger.UnitState
	first   map[string]int                // restarts at the first look
	down    map[string]time.Time          // since when a unit has ended without a reason to
	up      map[string]time.Time          // since when a unit is up
	health  map[string]string             // by unit, as of the last look
	healthy map[string]time.Time          // since when Podman calls a unit healthy that systemd still starts
	fallen  map[string]map[time.Time]bool // by unit, when those runs of it began that have ended
	unheard map[string]bool               // Podman's word counts for these
	named   map[string]string             // the container of a unit that is unhealthy
	had     map[string]bool               // units of which Podman had a container
	gone    map[string]bool               // units whose container does not run, as of the last look
	silence int                           // how often in a row Podman has not answered
}

// watch makes one for units of a generation.
func (e *Engine) watch(g Generation, names []string, progress Progress) *watch {
	w := &watch{
		engine: e, units: map[string]Unit{}, progress: progress,
		seen: map[string]leger.UnitState{}, down: map[string]time.Time{}, up: map[string]time.Time{},
		named: map[string]string{}, had: map[string]bool{}, gone: map[string]bool{}, fallen: map[string]map[time.Time]bool{}, health: map[string]string{}, healthy: map[string]time.Time{}, unheard: map[string]bool{},
	}
	for _, u := range g.Units {
		if slices.Contains(names, u.Service) {
			w.units[u.Service], w.names = u, append(w.names, u.Service)
		}
	}
	return w
}

// settle watches until all units have been up for Config.Settle on end, and
// healthy where they say when they are, or one has failed.
func (w *watch) settle(ctx context.Context) (failed string, err error) {
	for len(w.names) > 0 {
		w.asked = w.engine.cfg.Clock.Now()
		states, err := w.engine.cfg.Units.States(ctx, w.names...)
		if err == nil {
			err = w.askPatiently(ctx)
		}
		switch {
		case ctx.Err() != nil: // it cuts off whatever is under way
			return w.notUp(), ctx.Err()
		case err != nil:
			return "", err
		}
		done, failed := w.look(states)
		if done || failed != "" {
			return failed, nil
		}
		select {
		case <-ctx.Done():
			return w.notUp(), ctx.Err()
		case <-w.engine.cfg.Clock.After(w.engine.cfg.Poll):
		}
	}
	return "", nil
}

// askPatiently is askPodman, which may fail now and then.
func (w *watch) askPatiently(ctx context.Context) error {
	err := w.askPodman(ctx)
	if err == nil {
		w.silence = 0
		return nil
	}
	if w.silence++; w.silence >= maxSilence {
		return err
	}
	return nil
}

// askPodman learns the health of the units' containers. Of several the worst
// counts.
func (w *watch) askPodman(ctx context.Context) error {
	if w.engine.cfg.Podman == nil {
		return nil
	}
	all, err := w.engine.cfg.Podman.Containers(ctx)
	if err != nil {
		return err
	}
	clear(w.health)
	up := map[string]bool{}
	for _, c := range all {
		if u, ours := w.units[c.Unit]; ours {
			w.health[c.Unit] = worse(w.health[c.Unit], c.Health)
			up[c.Unit] = up[c.Unit] || c.Up
			if c.Health == unhealthyWord {
				w.named[c.Unit] = c.Name
			}
			w.had[c.Unit] = u.Kind == quadlet.Container && !u.Oneshot
		}
	}
	for name, had := range w.had {
		w.gone[name] = had && !up[name]
	}
	return nil
}

func (w *watch) look(states []leger.UnitState) (done bool, failed string) {
	if w.first == nil {
		w.first = map[string]int{}
		for _, s := range states {
			w.first[s.Name] = s.Restarts
		}
	}
	done = w.silence == 0
	for _, s := range states {
		before, known := w.seen[s.Name]
		if !known || before.ActiveState != s.ActiveState || before.SubState != s.SubState {
			w.progress.tell(Event{Step: StepWait, Unit: s.Name, State: s})
		}
		w.seen[s.Name] = s
		w.countFalls(before, s)
		switch w.judge(s, known && s.Restarts > before.Restarts) {
		case verdictUp:
		case verdictFailed:
			return false, s.Name
		case verdictWait:
			done = false
		}
	}
	return done, ""
}

type verdict int

const (
	verdictWait verdict = iota
	verdictUp
	verdictFailed
)

// countFalls notes the runs of a unit that have ended. systemd counts those that
// Restart= follows, but not those that another unit's Upholds= does.
func (w *watch) countFalls(before, s leger.UnitState) {
	if w.units[s.Name].Oneshot {
		return
	}
	if w.fallen[s.Name] == nil {
		w.fallen[s.Name] = map[time.Time]bool{}
	}
	if s.ActiveState == "deactivating" || s.SubState == "auto-restart" {
		w.fallen[s.Name][s.Begun] = true
	}
	if !before.Begun.IsZero() && !before.Begun.Equal(s.Begun) {
		w.fallen[s.Name][before.Begun] = true
	}
}

// judge decides about one unit.
func (w *watch) judge(s leger.UnitState, restarted bool) verdict {
	now, settle, u := w.engine.cfg.Clock.Now(), w.engine.cfg.Settle, w.units[s.Name]
	// A unit counts as active for a while after its container has ended.
	is := (running(u, s) && s.Job == "" && !w.gone[s.Name]) || (w.unheard[s.Name] && s.ActiveState == "activating")
	if !is || restarted {
		delete(w.up, s.Name)
	}
	switch {
	case s.ActiveState == "failed", s.Restarts-w.first[s.Name] >= maxRestarts, len(w.fallen[s.Name]) >= maxRestarts, w.health[s.Name] == unhealthyWord:
		return verdictFailed
	case is && restarted:
		return verdictWait
	case is:
		delete(w.down, s.Name)
		if u.Oneshot && !up(s) {
			return verdictUp // it is done
		}
		return w.settled(s, now)
	case s.ActiveState == "inactive" && s.Job == "":
		if since, known := w.down[s.Name]; !known {
			w.down[s.Name] = now
		} else if now.Sub(since) >= settle {
			return verdictFailed // it ended, and nothing starts it again
		}
	}
	return verdictWait
}

// settled judges a unit that is up: it counts when it has been for a while, longer
// after each time that it has ended, and its health check agrees.
func (w *watch) settled(s leger.UnitState, now time.Time) verdict {
	since, known := w.up[s.Name]
	if !known {
		since = now
		// It came up while others were started.
		if !s.Since.IsZero() && s.Since.Before(now) {
			since = s.Since
		}
		w.up[s.Name] = since
	}
	// On a busy machine systemd and Podman take longer to answer than a container takes to
	// end: it was seen up when they were asked, not now.
	if h := w.health[s.Name]; (h == "" || h == healthyWord) && w.asked.Sub(since) >= w.engine.cfg.Settle*w.doubts(s.Name) {
		return verdictUp
	}
	return verdictWait
}

// doubts is by how much longer a unit must stay up to count: once more for each
// time that it has ended, and for a container's unit of which Podman has shown no
// container yet. It may have ended and been removed before the first look, while
// systemd calls its unit active still.
func (w *watch) doubts(name string) time.Duration {
	doubts := 1 + len(w.fallen[name])
	if u := w.units[name]; w.engine.cfg.Podman != nil && u.Kind == quadlet.Container && !u.Oneshot && !w.had[name] {
		const unseen = 3
		doubts += unseen
	}
	return time.Duration(doubts)
}

// notUp gives a unit that was not up at the last look.
func (w *watch) notUp() string {
	for _, name := range w.names {
		if h := w.health[name]; !running(w.units[name], w.seen[name]) || (h != "" && h != healthyWord) {
			return name
		}
	}
	return w.names[0]
}
