package systemd

import (
	"context"
	"errors"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"leger.run/leger"
)

// stopRounds is how often Stop asks again. A unit that others pull up again is
// down after two or three; one that a target upholds never is.
const stopRounds = 8

// Stop stops units as one set and waits until they have: all jobs are queued
// before the first is waited for, so that systemd orders them and none of the
// units pulls up another that is down already. A job that a start cancels, because
// a unit restarted meanwhile, is asked for again. A unit that does not exist or
// does not run is stopped already. A unit that something else starts again each
// time (Upholds=) may run when Stop returns, but it has stopped in between. Errors
// as Start.
func (m *Manager) Stop(ctx context.Context, units ...string) error {
	for _, unit := range units {
		if err := checkName(unit); err != nil {
			return err
		}
	}
	left := units
	for range stopRounds {
		if err := m.stopOnce(ctx, left); err != nil {
			return err
		}
		states, err := m.States(ctx, left...)
		if err != nil {
			return err
		}
		left = nil
		for _, s := range states {
			if s.Job != "" || (s.ActiveState != "inactive" && s.ActiveState != "failed") {
				left = append(left, s.Name)
			}
		}
		if len(left) == 0 {
			return nil
		}
	}
	return nil
}

// stopOnce queues all the jobs, then waits for each. That one was cancelled is no
// error: its unit's state tells.
func (m *Manager) stopOnce(ctx context.Context, units []string) error {
	results := map[string]chan string{}
	for _, unit := range units {
		done := make(chan string, 1) // buffered: nobody may be left to read it
		_, err := m.conn.StopUnitContext(ctx, unit, "replace", done)
		if err = wrap(ctx, err, "stop "+unit); errors.Is(err, leger.ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		results[unit] = done
	}
	var first error
	for _, unit := range units {
		if results[unit] == nil {
			continue
		}
		select {
		case result := <-results[unit]:
			if err := jobError(unit, "stop", result); err != nil && result != "canceled" && first == nil {
				first = err
			}
		case <-ctx.Done():
			return wrap(ctx, ctx.Err(), "wait for "+unit+" to stop")
		}
	}
	return first
}

// Dependents gives, for each unit, those that run and that systemd stops whenever
// it stops that unit, directly and through others: they require it, are bound to
// it, or are a part of it. Units that nothing depends on are left out.
func (m *Manager) Dependents(ctx context.Context, units ...string) (map[string][]string, error) {
	direct, err := m.follow(ctx, units, "RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo")
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, unit := range units {
		found, err := m.running(ctx, reach(direct, unit))
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			all[unit] = found
		}
	}
	return all, nil
}

// Needs gives the units that a unit cannot start without, directly and through
// others, the nearest first.
func (m *Manager) Needs(ctx context.Context, unit string) ([]string, error) {
	direct, err := m.follow(ctx, []string{unit}, "Requires", "BindsTo", "Requisite")
	return reach(direct, unit), err
}

// reach gives what can be reached from a unit, without itself.
func reach(direct map[string][]string, unit string) []string {
	var found []string
	next := slices.Clone(direct[unit])
	for ; len(next) > 0; next = next[1:] {
		if next[0] != unit && !slices.Contains(found, next[0]) {
			found = append(found, next[0])
			next = append(next, direct[next[0]]...)
		}
	}
	return found
}

// follow asks for dependencies of the units, and of those that they lead to.
func (m *Manager) follow(ctx context.Context, units []string, kinds ...string) (map[string][]string, error) {
	direct := map[string][]string{}
	for next := units; len(next) > 0; {
		calls := map[string]map[string]*dbus.Call{}
		for _, unit := range next {
			if _, done := direct[unit]; !done && nameTaken(unit) {
				direct[unit] = nil
				calls[unit] = m.ask(ctx, unitPath(unit), map[string][]string{"Unit": kinds})
			}
		}
		next = nil
		for unit, answers := range calls {
			properties, err := collect(ctx, unit, answers)
			if err != nil {
				return nil, err
			}
			for _, value := range properties {
				names, _ := value.([]string)
				direct[unit] = append(direct[unit], names...)
			}
			slices.Sort(direct[unit])
			direct[unit] = slices.Compact(direct[unit])
			next = append(next, direct[unit]...)
		}
	}
	return direct, nil
}

// running keeps the units that run, or are about to.
func (m *Manager) running(ctx context.Context, units []string) ([]string, error) {
	states, err := m.States(ctx, units...)
	if err != nil {
		return nil, err
	}
	var up []string
	for _, s := range states {
		if s.ActiveState != "inactive" && s.ActiveState != "failed" && !strings.HasSuffix(s.Name, ".slice") {
			up = append(up, s.Name)
		}
	}
	return up, nil
}

// unitPath is a unit's object, as systemd names it (sd_bus_path_encode(3)).
func unitPath(unit string) dbus.ObjectPath {
	return dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + sd.PathBusEscape(unit))
}
