package secretsync

import (
	"bytes"
	"context"
	"errors"

	"leger.run/leger"
)

// job is a sync that is planned.
type job struct {
	plan        Plan
	values      map[leger.SecretName]leger.Plaintext
	etag        string
	notModified bool
	now         identity // with whom this sync is
}

func (j job) wipe() {
	for _, v := range j.values {
		v.Wipe()
	}
}

// prepare looks at both sides and plans. The tag of the last sync is sent only if
// the machine still holds what that sync left: otherwise "not modified" would
// hide what was lost here since.
func (s *Syncer) prepare(ctx context.Context) (job, error) {
	held, err := s.cfg.Local.List(ctx)
	if err != nil {
		return job{}, stopped(ctx, err, nil)
	}
	left := s.cfg.Memory.recall(present(held))
	last, tag := left.identity, left.ETag
	heldBack := s.cfg.HeldBack.recall()
	if s.cfg.Retry && len(heldBack) > 0 {
		tag, heldBack = "", nil
	}
	list, err := s.cfg.Server.SecretValues(ctx, tag)
	if err != nil {
		return job{}, stopped(ctx, err, nil)
	}
	j := job{
		values: make(map[leger.SecretName]leger.Plaintext, len(list.Values)),
		etag:   list.ETag, notModified: list.NotModified, now: s.cfg.Memory.identity(list.Origin),
	}
	if list.NotModified {
		j.plan, j.now = Tidy(held, heldBack), last
		j.plan.NotGiven = left.Withheld
		return j, nil
	}
	for _, v := range list.Values {
		j.values[v.Name] = v.Value
	}
	if j.plan, err = s.plan(ctx, list, held, heldBack, last, j.now); err != nil {
		j.wipe()
		return job{}, stopped(ctx, err, nil)
	}
	return j, nil
}

// plan compares and weighs.
func (s *Syncer) plan(
	ctx context.Context, list List, held []Held, heldBack map[leger.SecretName]leger.Version, last, now identity,
) (Plan, error) {
	values := list.Values
	if err := noneTwice(values); err != nil {
		return Plan{}, err
	}
	leftovers, err := s.cfg.Local.Leftovers(ctx)
	// Without Podman nothing of this account's is taken from it; what another one has
	// there has to be known before it goes.
	if err != nil && (ctx.Err() != nil || last.known() && last.User != now.User) {
		return Plan{}, err
	}
	numbersHold := !now.otherServer(last) && !now.restored(last)
	same, err := s.same(ctx, values, held, numbersHold)
	if err != nil {
		return Plan{}, err
	}
	stay, err := s.stayOut(ctx, values, held, heldBack)
	if err != nil {
		return Plan{}, err
	}
	p := NewPlan(Sides{
		Server: values, Local: held, Leftovers: leftovers, HeldBack: stay, Withheld: list.Withheld,
		Same: func(n leger.SecretName) bool { return same[n] },
	})
	p.NotGiven = len(list.Withheld)
	p.weigh(last, now)
	return p, nil
}

// noneTwice refuses a list that no server of ours makes: the machine would hold
// whichever value came last.
func noneTwice(values []Value) error {
	seen := map[leger.SecretName]bool{}
	for _, v := range values {
		if seen[v.Name] {
			return leger.Errorf(leger.CodeUnreachable, "the server's list has the secret %s twice; nothing was changed", v.Name).
				WithHint("is something between this machine and the server? leger doctor")
		}
		seen[v.Name] = true
	}
	return nil
}

// stayOut tells of which secrets the server still has the version that is held
// back. It is known by its value, too: a server that was restored may have given
// the number twice.
func (s *Syncer) stayOut(ctx context.Context, values []Value, held []Held, heldBack map[leger.SecretName]leger.Version) (map[leger.SecretName]bool, error) {
	out := map[leger.SecretName]bool{}
	if len(heldBack) == 0 {
		return out, nil
	}
	local := map[leger.SecretName]Held{}
	for _, h := range held {
		local[h.Name] = h
	}
	for _, v := range values {
		if heldBack[v.Name] != v.Version || !local[v.Name].holdsBack(v.Version) {
			continue
		}
		same, err := s.holds(ctx, v)
		if err != nil {
			return nil, err
		}
		out[v.Name] = same
	}
	return out, nil
}

// holds reports whether the store has this version with this value.
func (s *Syncer) holds(ctx context.Context, v Value) (bool, error) {
	here, err := s.cfg.Local.Value(ctx, v.Name, v.Version)
	if errors.Is(err, leger.ErrNotFound) {
		return false, nil // gone since it was listed
	}
	if err != nil {
		return false, err
	}
	defer here.Wipe()
	return bytes.Equal(here.Reveal(), v.Value.Reveal()), nil
}

// same compares the values that are active here with the server's. A later version
// of the same server has another value, which need not be looked at: the numbers of
// one history hold. Otherwise every value that both sides have is compared, since
// a server that was restored, or another one, may have given a number twice.
func (s *Syncer) same(ctx context.Context, values []Value, held []Held, numbersHold bool) (map[leger.SecretName]bool, error) {
	active := present(held)
	out := map[leger.SecretName]bool{}
	for _, v := range values {
		here, there := active[v.Name]
		if !there || numbersHold && v.Version > here {
			continue
		}
		same, err := s.holds(ctx, Value{v.Name, here, v.Value})
		if err != nil {
			return nil, err
		}
		out[v.Name] = same
	}
	return out, nil
}
