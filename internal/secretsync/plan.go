package secretsync

import (
	"fmt"
	"slices"
	"strings"

	"leger.run/leger"
)

// Action is what a sync does with one secret.
type Action string

// The actions.
const (
	ActionNew       Action = "new"       // the machine does not have it
	ActionChanged   Action = "changed"   // the server has a later version
	ActionReplaced  Action = "replaced"  // the server went back, or is another one: its version wins
	ActionRemoved   Action = "removed"   // the server does not have it (any more)
	ActionUnchanged Action = "unchanged" // both hold the same
)

// Step is one line of a plan.
type Step struct {
	Name   leger.SecretName
	Action Action
	From   leger.Version   // on the machine now; 0: not there
	To     leger.Version   // on the server; 0: not there
	Drop   []leger.Version // old versions the machine need not keep
	// Via is, for another value under the same version, a free number under which
	// the value goes first: Podman's side is told apart by number, so it would not
	// see the change otherwise. 0: none is needed.
	Via leger.Version
}

// Reason tells why a secret is replaced; empty for the other actions.
func (s Step) Reason() string {
	switch {
	case s.Action != ActionReplaced:
		return ""
	case s.From == s.To:
		return fmt.Sprintf("the server holds another value under the same version %d: it was restored, or is another server", s.To)
	default:
		return fmt.Sprintf("the server went back from version %d to %d: it was restored, or is another server", s.From, s.To)
	}
}

// Plan is what a sync will do, in order of name.
type Plan struct{ Steps []Step }

// Empty reports whether nothing is to be done.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action != ActionUnchanged || len(s.Drop) > 0 })
}

// Count gives the number of steps with an action.
func (p Plan) Count(a Action) int {
	n := 0
	for _, s := range p.Steps {
		if s.Action == a {
			n++
		}
	}
	return n
}

// String gives one line per step: what golden files and --verbose show.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%-9s %s %d -> %d", s.Action, s.Name, s.From, s.To)
		if s.Via > 0 {
			fmt.Fprintf(&b, " via %d", s.Via)
		}
		if len(s.Drop) > 0 {
			fmt.Fprintf(&b, " drop %v", s.Drop)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// NewPlan compares the server's secrets with the machine's. differs tells for a
// secret with the same version on both sides whether its values differ; it is
// asked for no other.
func NewPlan(server []Value, local []Held, differs func(leger.SecretName) bool) Plan {
	held := map[leger.SecretName]Held{}
	for _, h := range local {
		held[h.Name] = h
	}
	var p Plan
	for _, v := range server {
		h, there := held[v.Name]
		delete(held, v.Name)
		p.Steps = append(p.Steps, step(v, h, there, differs))
	}
	for name, h := range held {
		p.Steps = append(p.Steps, Step{Name: name, Action: ActionRemoved, From: h.Active})
	}
	p.sort()
	return p
}

// Tidy is the plan when the server says that nothing changed: every secret stays,
// and old versions that an interrupted sync left are dropped.
func Tidy(local []Held) Plan {
	var p Plan
	for _, h := range local {
		p.Steps = append(p.Steps, Step{Name: h.Name, Action: ActionUnchanged, From: h.Active, To: h.Active, Drop: leftovers(h)})
	}
	p.sort()
	return p
}

func (p Plan) sort() {
	slices.SortFunc(p.Steps, func(a, b Step) int { return strings.Compare(a.Name.String(), b.Name.String()) })
}

func step(v Value, h Held, there bool, differs func(leger.SecretName) bool) Step {
	s := Step{Name: v.Name, From: h.Active, To: v.Version}
	switch {
	case !there:
		s.Action = ActionNew
		return s
	case v.Version > h.Active:
		s.Action = ActionChanged
	case v.Version < h.Active:
		s.Action = ActionReplaced
	case differs(v.Name):
		// It is made anew, which drops every old version.
		s.Action, s.Via = ActionReplaced, slices.Max(append(h.Kept, h.Active))+1
		return s
	default:
		s.Action = ActionUnchanged
		s.Drop = leftovers(h)
		return s
	}
	for _, kept := range h.Kept {
		if kept != s.From && kept != s.To {
			s.Drop = append(s.Drop, kept)
		}
	}
	slices.Sort(s.Drop)
	return s
}

// leftovers is what a secret at rest need not keep: all but the active version
// and one other, the latest, which is the one before it unless the server went back.
func leftovers(h Held) []leger.Version {
	others := slices.DeleteFunc(slices.Clone(h.Kept), func(v leger.Version) bool { return v == h.Active })
	if len(others) < 2 {
		return nil
	}
	slices.Sort(others)
	return others[:len(others)-1]
}
