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
	knownServer bool // the last whole sync was with this server
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
	tag, known := s.cfg.Memory.recall(present(held))
	heldBack := s.cfg.HeldBack.recall()
	if s.cfg.Retry && len(heldBack) > 0 {
		tag, heldBack = "", nil
	}
	values, etag, notModified, err := s.cfg.Server.SecretValues(ctx, tag)
	if err != nil {
		return job{}, stopped(ctx, err, nil)
	}
	j := job{
		values: make(map[leger.SecretName]leger.Plaintext, len(values)),
		etag:   etag, notModified: notModified, knownServer: known,
	}
	if notModified {
		j.plan = Tidy(held, heldBack)
		return j, nil
	}
	for _, v := range values {
		j.values[v.Name] = v.Value
	}
	differing, err := s.differing(ctx, values, held)
	if err != nil {
		j.wipe()
		return job{}, stopped(ctx, err, nil)
	}
	stay, err := s.stayOut(ctx, values, held, heldBack)
	if err != nil {
		j.wipe()
		return job{}, stopped(ctx, err, nil)
	}
	j.plan = NewPlan(values, held, func(n leger.SecretName) bool { return differing[n] }, stay)
	return j, nil
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

// differing compares the values of secrets that have one version on both sides.
// A server that was restored, or another server, may have given a number twice.
func (s *Syncer) differing(ctx context.Context, values []Value, held []Held) (map[leger.SecretName]bool, error) {
	active := present(held)
	out := map[leger.SecretName]bool{}
	for _, v := range values {
		if active[v.Name] != v.Version {
			continue
		}
		same, err := s.holds(ctx, v)
		if err != nil {
			return nil, err
		}
		out[v.Name] = !same
	}
	return out, nil
}
