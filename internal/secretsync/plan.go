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
	ActionReplaced  Action = "replaced"  // the server went back, or is another one: its value wins
	ActionRemoved   Action = "removed"   // the server does not have it (any more)
	ActionUnchanged Action = "unchanged" // both hold the same
	ActionHeldBack  Action = "held-back" // a unit did not come up with the server's version
)

// Step is one line of a plan.
type Step struct {
	Name   leger.SecretName
	Action Action
	From   leger.Version   // on the machine now; 0: not there
	To     leger.Version   // on the server; 0: not there; the machine stays at From if it is held back
	Drop   []leger.Version // old versions the machine need not keep
	// Same: only the number changes, the value is the one that is here.
	Same bool
	// Foreign: Podman has a secret of this name that is another account's.
	Foreign bool
	// Lost: Podman has one that is this account's, and the store has lost it: its value
	// cannot be compared. Podman is its version there, 0 if that is not known.
	Lost   bool
	Podman leger.Version
	// Withheld: the server has it, and does not give it to this machine any more.
	Withheld bool
}

// Changes reports whether the step makes the machine hold another value.
func (s Step) Changes() bool { return s.Action != ActionUnchanged && s.Action != ActionHeldBack }

// Reason tells why a secret is replaced, held back, or removed though the server has
// it; empty for the others.
func (s Step) Reason() string {
	switch {
	case s.Withheld:
		return "it is not given to this machine any more"
	case s.Action == ActionHeldBack:
		return fmt.Sprintf("version %d is held back, since a unit did not come up with it", s.To)
	case s.Action != ActionReplaced:
		return ""
	case s.From == s.To:
		return fmt.Sprintf("the server has another value under the same version %d", s.To)
	case s.Same:
		return fmt.Sprintf("the server has this value as version %d", s.To)
	default:
		return fmt.Sprintf("the server went back from version %d to %d", s.From, s.To)
	}
}

// Plan is what a sync will do, in order of name.
type Plan struct {
	Steps []Step
	// Doubt is why the user has to consent first, and Lost what would not be here any
	// more. Both are empty where no consent is needed.
	Doubt Doubt
	Lost  []Loss
	// Withheld are the secrets that the server has and this machine is not given. Where
	// nothing has changed since the last sync it is empty, and only their number is known:
	// names are not written down.
	Withheld []leger.SecretName
	NotGiven int

	here int // secrets on the machine before
}

// Empty reports whether nothing is to be done.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Changes() || len(s.Drop) > 0 })
}

// Changes gives the number of secrets of which the machine will hold another value.
func (p Plan) Changes() int {
	n := 0
	for _, s := range p.Steps {
		if s.Changes() {
			n++
		}
	}
	return n
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
		if s.Same {
			b.WriteString(" same")
		}
		if s.Foreign {
			b.WriteString(" foreign")
		}
		if s.Withheld {
			b.WriteString(" withheld")
		}
		if len(s.Drop) > 0 {
			fmt.Fprintf(&b, " drop %v", s.Drop)
		}
		b.WriteByte('\n')
	}
	if p.Doubt != "" {
		fmt.Fprintf(&b, "doubt %s: %d lost\n", p.Doubt, len(p.Lost))
	}
	return b.String()
}

// Sides is what a plan is made of.
type Sides struct {
	Server    []Value
	Local     []Held
	Leftovers []Leftover
	Withheld  []leger.SecretName // as in List
	// Same tells for a secret that both sides have whether the value that is active
	// here is the server's.
	Same func(leger.SecretName) bool
	// HeldBack are those of which the server's version stays out.
	HeldBack map[leger.SecretName]bool
}

// NewPlan compares the server's secrets with the machine's.
func NewPlan(in Sides) Plan {
	held := map[leger.SecretName]Held{}
	for _, h := range in.Local {
		held[h.Name] = h
	}
	p := Plan{here: len(held), Withheld: in.Withheld}
	for _, v := range in.Server {
		h, there := held[v.Name]
		delete(held, v.Name)
		if there && in.HeldBack[v.Name] {
			p.Steps = append(p.Steps, Step{Name: v.Name, Action: ActionHeldBack, From: h.Active, To: v.Version, Drop: leftovers(h)})
			continue
		}
		p.Steps = append(p.Steps, step(v, h, there, in.Same))
	}
	for name, h := range held {
		withheld := slices.Contains(in.Withheld, name)
		p.Steps = append(p.Steps, Step{Name: name, Action: ActionRemoved, From: h.Active, Withheld: withheld})
	}
	p.addLeftovers(in.Leftovers)
	p.sort()
	return p
}

// addLeftovers adds what only Podman has.
func (p *Plan) addLeftovers(all []Leftover) {
	by := map[leger.SecretName]int{}
	for i, s := range p.Steps {
		by[s.Name] = i
	}
	for _, l := range all {
		i, known := by[l.Name]
		switch foreign := !l.Owner.IsZero(); {
		case known:
			p.Steps[i].Foreign, p.Steps[i].Lost, p.Steps[i].Podman = foreign, !foreign, l.Version
		default:
			p.Steps = append(p.Steps, Step{Name: l.Name, Action: ActionRemoved, From: l.Version, Foreign: foreign})
			p.here++
		}
	}
}

// Tidy is the plan when the server says that nothing changed: every secret stays,
// and old versions that an interrupted sync left are dropped. heldBack are the
// server's versions that stay out.
func Tidy(local []Held, heldBack map[leger.SecretName]leger.Version) Plan {
	var p Plan
	for _, h := range local {
		s := Step{Name: h.Name, Action: ActionUnchanged, From: h.Active, To: h.Active, Drop: leftovers(h)}
		if v := heldBack[h.Name]; h.holdsBack(v) {
			s.Action, s.To = ActionHeldBack, v
		}
		p.Steps = append(p.Steps, s)
	}
	p.sort()
	return p
}

func (p Plan) sort() {
	slices.SortFunc(p.Steps, func(a, b Step) int { return strings.Compare(a.Name.String(), b.Name.String()) })
}

func step(v Value, h Held, there bool, same func(leger.SecretName) bool) Step {
	s := Step{Name: v.Name, From: h.Active, To: v.Version}
	if !there {
		s.Action = ActionNew
		return s
	}
	s.Same = same(v.Name)
	switch {
	case v.Version > h.Active:
		s.Action = ActionChanged
	case v.Version < h.Active:
		s.Action = ActionReplaced
	case !s.Same:
		s.Action = ActionReplaced // it is made anew, which drops every old version
		return s
	default:
		s.Action, s.Same = ActionUnchanged, false
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
