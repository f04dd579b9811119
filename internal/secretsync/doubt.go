package secretsync

import (
	"context"
	"fmt"
	"strings"

	"leger.run/leger"
)

// Doubt is why a plan needs the user's consent. The empty Doubt needs none.
type Doubt string

// The doubts, the gravest first.
const (
	DoubtAccount  Doubt = "account"  // Podman has another account's secrets
	DoubtServer   Doubt = "server"   // it is another server than the last time
	DoubtRestored Doubt = "restored" // the server went back to an earlier state
	DoubtMost     Doubt = "most"     // most of the secrets are gone
)

// fewest is from how many secrets on it is a doubt that half of them or more are
// gone at once. Fewer are what one deletes on purpose.
const fewest = 3

// Loss is a value that this machine would not have any more.
type Loss struct {
	Name    leger.SecretName
	Version leger.Version // of the value that goes; 0: not known
	// Replaced: the secret stays, with another value.
	Replaced bool
}

// weigh finds out whether the plan needs consent, and what would be lost. Without
// a loss there is nothing to consent to.
func (p *Plan) weigh(last, now identity) {
	other, restored := now.otherServer(last), now.restored(last)
	account, back := false, false
	for _, s := range p.Steps {
		account = account || s.Foreign
		wentBack := s.Action == ActionReplaced && !s.Same || s.Lost && s.Podman > s.To
		back = back || wentBack
		switch {
		case s.Action == ActionRemoved:
			p.Lost = append(p.Lost, Loss{Name: s.Name, Version: s.From})
		case s.Foreign, wentBack, (other || restored) && (s.Lost || s.Action == ActionChanged && !s.Same):
			p.Lost = append(p.Lost, Loss{Name: s.Name, Version: max(s.From, s.Podman), Replaced: true})
		}
	}
	removed := p.gone()
	switch {
	case len(p.Lost) == 0:
	case account:
		p.Doubt = DoubtAccount
	case other:
		p.Doubt = DoubtServer
	case restored || back:
		p.Doubt = DoubtRestored
	case removed >= fewest && 2*removed >= p.here:
		p.Doubt = DoubtMost
	default:
		p.Lost = nil
	}
}

// gone counts the secrets that the server does not have any more. One that it has and
// does not give to this machine was taken from it on purpose.
func (p Plan) gone() int {
	n := 0
	for _, s := range p.Steps {
		if s.Action == ActionRemoved && !s.Withheld {
			n++
		}
	}
	return n
}

// Why says it in a sentence without an end: "this is another server …".
func (p Plan) Why() string {
	switch p.Doubt {
	case DoubtAccount:
		return "this machine has the secrets of another account"
	case DoubtServer:
		return "this is another server than the one of the last sync"
	case DoubtRestored:
		return "the server went back to an earlier state: it was restored, or is another server"
	case DoubtMost:
		return fmt.Sprintf("%d of the %d secrets on this machine are gone from the server", p.gone(), p.here)
	}
	return ""
}

// NeedsConsent is the error of a sync that nobody consented to; it has done nothing.
// It is an ErrConflict.
type NeedsConsent struct {
	Plan Plan
	err  *leger.Error
}

func (e *NeedsConsent) Error() string { return e.err.Error() }

// Unwrap gives the *leger.Error.
func (e *NeedsConsent) Unwrap() error { return e.err }

// Refusal is the error of a plan that needs consent and does not get it; nil for
// one that needs none.
func (p Plan) Refusal() error {
	if p.Doubt == "" {
		return nil
	}
	var names []string
	for _, l := range p.Lost {
		names = append(names, l.Name.String())
	}
	return &NeedsConsent{p, leger.Errorf(leger.CodeConflict, "%s; %s; nothing was changed", p.Why(), lossOf(names)).
		WithHint("look: leger secrets sync --dry-run; if it is meant: leger secrets sync --yes")}
}

func lossOf(names []string) string {
	const shown = 10
	list := strings.Join(names[:min(len(names), shown)], ", ")
	if more := len(names) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	if len(names) == 1 {
		return "a sync would take 1 secret's value from it: " + list
	}
	return fmt.Sprintf("a sync would take the values of %d secrets from it: %s", len(names), list)
}

// consent asks where the plan needs it, and then remembers with whom this machine
// syncs from now on: the same is not asked twice.
func (s *Syncer) consent(ctx context.Context, j job) error {
	if j.plan.Doubt == "" {
		return nil
	}
	if s.cfg.Consent == nil {
		return j.plan.Refusal()
	}
	if err := s.cfg.Consent(ctx, j.plan); err != nil {
		return err
	}
	return s.cfg.Memory.begin(j.now)
}
