package systemd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"leger.run/leger"
)

// States tells how units are, in the order asked. One that does not exist has
// LoadState "not-found", and so has one whose name systemd does not take, such as
// "grün.service": it leaves that out of its answers without a word.
//
// systemd needs 3 ms to tell all 300 properties of one unit: the few that matter
// are asked for one by one, all questions being under way at once.
func (m *Manager) States(ctx context.Context, units ...string) ([]leger.UnitState, error) {
	var known []string
	for _, unit := range units {
		if nameTaken(unit) {
			known = append(known, unit)
		}
	}
	found, err := m.states(ctx, known)
	if err != nil {
		return nil, err
	}
	states := make([]leger.UnitState, 0, len(units))
	for _, unit := range units {
		if nameTaken(unit) {
			states, found = append(states, found[0]), found[1:]
			continue
		}
		states = append(states, leger.UnitState{Name: unit, LoadState: "not-found", ActiveState: "inactive", SubState: "dead"})
	}
	return states, nil
}

// states is States of units whose names systemd takes.
func (m *Manager) states(ctx context.Context, units []string) ([]leger.UnitState, error) {
	if len(units) == 0 {
		return nil, nil
	}
	listed, err := m.conn.ListUnitsByNamesContext(ctx, units)
	if err != nil {
		return nil, wrap(ctx, err, "ask for the state of units")
	}
	if len(listed) != len(units) {
		return nil, leger.Errorf(leger.CodeInternal, "systemd told the state of %d units when asked for %d", len(listed), len(units))
	}
	answers := make([]map[string]*dbus.Call, len(units))
	for i, u := range listed {
		if u.LoadState == "loaded" || u.ActiveState != "inactive" {
			answers[i] = m.ask(ctx, u.Path, stateProperties())
		}
	}
	states := make([]leger.UnitState, 0, len(units))
	for i, unit := range units {
		u := listed[i]
		properties, err := collect(ctx, unit, answers[i])
		if err != nil {
			return nil, err
		}
		properties["LoadState"], properties["ActiveState"], properties["SubState"] = u.LoadState, u.ActiveState, u.SubState
		properties["Job"] = []any{u.JobId, u.JobPath}
		states = append(states, StateOf(unit, properties))
	}
	return states, nil
}

// Instances lists the instances of a template ("web@.service") that run, or are
// about to, in order of name.
func (m *Manager) Instances(ctx context.Context, template string) ([]string, error) {
	if err := checkName(template); err != nil {
		return nil, err
	}
	name, suffix, ok := strings.Cut(template, "@.")
	if !ok {
		return nil, leger.Invalid("unit", "%.80q is not the name of a template", template)
	}
	pattern := name + "@*." + suffix
	found, err := m.conn.ListUnitsByPatternsContext(ctx, []string{"active", "activating", "reloading", "refreshing"}, []string{pattern})
	if err != nil {
		return nil, wrap(ctx, err, "list the instances of "+template)
	}
	var names []string
	for _, u := range found {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return names, nil
}

// stateProperties are those that make a leger.UnitState, by interface.
func stateProperties() map[string][]string {
	return map[string][]string{
		"Unit":    {"SourcePath", "FragmentPath", "ActiveEnterTimestamp", "InactiveExitTimestamp"},
		"Service": {"Result", "ExecMainStatus", "NRestarts"},
	}
}

// ask sends the questions about one unit.
func (m *Manager) ask(ctx context.Context, path dbus.ObjectPath, properties map[string][]string) map[string]*dbus.Call {
	calls := map[string]*dbus.Call{}
	object := m.bus.Object("org.freedesktop.systemd1", path)
	for kind, names := range properties {
		for _, name := range names {
			calls[name] = object.GoWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, make(chan *dbus.Call, 1), "org.freedesktop.systemd1."+kind, name)
		}
	}
	return calls
}

// collect waits for the answers about one unit.
func collect(ctx context.Context, unit string, calls map[string]*dbus.Call) (map[string]any, error) {
	properties := map[string]any{}
	for name, call := range calls {
		select {
		case <-call.Done:
		case <-ctx.Done():
			return nil, wrap(ctx, ctx.Err(), "ask for the state of "+unit)
		}
		var v dbus.Variant
		if call.Store(&v) == nil { // what is no service has no properties of one
			properties[name] = v.Value()
		}
	}
	return properties, nil
}

// StateOf reads a unit's state from its properties on D-Bus
// (org.freedesktop.systemd1.Unit and .Service). What is missing stays zero.
func StateOf(unit string, properties map[string]any) leger.UnitState {
	text := func(name string) string {
		s, _ := properties[name].(string)
		return s
	}
	s := leger.UnitState{
		Name: unit, LoadState: text("LoadState"), ActiveState: text("ActiveState"), SubState: text("SubState"),
		Result: text("Result"), Source: text("SourcePath"),
	}
	if s.Source == "" {
		s.Source = text("FragmentPath")
	}
	if n, ok := properties["ExecMainStatus"].(int32); ok {
		s.ExecMainStatus = int(n)
	}
	if n, ok := properties["NRestarts"].(uint32); ok {
		s.Restarts = int(n)
	}
	s.Since, s.Begun = moment(properties["ActiveEnterTimestamp"]), moment(properties["InactiveExitTimestamp"])
	// Job is (id, object path), id 0 for none. Its type is another call away; that
	// something is queued is what matters.
	if job, ok := properties["Job"].([]any); ok && len(job) == 2 {
		if id, ok := job[0].(uint32); ok && id != 0 {
			s.Job = "queued"
		}
	}
	return s
}

// moment reads systemd's CLOCK_REALTIME in microseconds; 0 is never.
func moment(property any) time.Time {
	us, ok := property.(uint64)
	if !ok || us == 0 || us > 1<<62 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us)).UTC()
}

// maxLine bounds a line of what a program wrote, in bytes.
const maxLine = 500
