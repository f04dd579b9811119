package secretsync

import (
	"context"
	"errors"
	"slices"

	"leger.run/leger"
)

// Dependents are units of one deployment that use secrets.
type Dependents struct {
	Deployment string
	Units      []string
	Secrets    []string // those because of which they are restarted
}

// Units is what runs on the machine.
type Units interface {
	// Stale finds the units that run with an older value of a secret than Podman has.
	Stale(ctx context.Context) ([]Dependents, error)
	// Restart restarts them and waits until they are healthy. ErrInterrupted means that
	// nobody knows whether they are; any other error that one is not.
	Restart(ctx context.Context, d Dependents) error
}

// Restarts is what came of a Restart.
type Restarts struct {
	Restarted []string // units that are healthy
	// WentBack are the secrets whose former version, given here, is in place again and
	// whose newest is held back.
	WentBack map[leger.SecretName]leger.Version
}

// Restart restarts the units that run with an older value of a secret than Podman
// has, and no others. If one does not come up, its secrets get their former value
// back, and what uses them is restarted again: a new value with which a unit does
// not work is held back. If the former value is no better, the new one stays.
// former, which may be nil, is told before a value is put back.
//
// The error says which unit did not come up, with ErrPartial beside it if the new
// values stay.
func (s *Syncer) Restart(ctx context.Context, units Units, former func()) (r Restarts, err error) {
	release, err := s.Hold(ctx)
	if err != nil {
		return r, err
	}
	defer release()
	stale, err := units.Stale(ctx)
	if err != nil {
		return r, err
	}
	failed, err := restartAll(ctx, units, stale, &r)
	if err == nil || len(failed) == 0 {
		return r, err
	}
	cause := err
	was, before, err := s.former(ctx, failed)
	if err != nil {
		return r, errors.Join(cause, err)
	}
	if len(before) == 0 {
		return r, cause
	}
	if former != nil {
		former()
	}
	if err := s.activate(ctx, before); err != nil {
		return r, errors.Join(cause, err)
	}
	if stale, err = units.Stale(ctx); err == nil {
		_, err = restartAll(ctx, units, join(stale, failed), &r)
	}
	if err != nil && !errors.Is(err, leger.ErrInterrupted) {
		// The new values are not to blame.
		err = leger.Wrap(leger.CodePartial, err, "with the former values of its secrets it does not come up either, so the new ones stay")
		return r, errors.Join(cause, err, s.activate(ctx, was))
	}
	r.WentBack = before
	if err != nil {
		cause = errors.Join(err, cause)
	}
	return r, errors.Join(wentBack(cause), s.cfg.HeldBack.Add(was))
}

// wentBack adds to why the new value is not in use how things are now.
func wentBack(cause error) error {
	e, ok := errors.AsType[*leger.Error](cause)
	if !ok || errors.Is(cause, leger.ErrInterrupted) {
		return cause
	}
	known := *e
	known.Message += "; it runs again with the former value of the secret"
	return known.WithHint("store a value that works: leger secrets set; the server still has the other one, which syncs leave out from now on")
}

// restartAll restarts them, one deployment after the other, and gives those of
// deployments in which one did not come up, with the first error.
func restartAll(ctx context.Context, units Units, all []Dependents, r *Restarts) (failed []Dependents, err error) {
	for _, d := range all {
		e := units.Restart(ctx, d)
		if errors.Is(e, leger.ErrInterrupted) {
			return nil, e
		}
		if e != nil {
			failed = append(failed, d)
			if err == nil {
				err = e
			}
			continue
		}
		for _, u := range d.Units {
			if !slices.Contains(r.Restarted, u) {
				r.Restarted = append(r.Restarted, u)
			}
		}
	}
	return failed, err
}

// join adds what failed to what is stale.
func join(stale, failed []Dependents) []Dependents {
	for _, f := range failed {
		i := slices.IndexFunc(stale, func(d Dependents) bool { return d.Deployment == f.Deployment })
		if i < 0 {
			stale = append(stale, f)
			continue
		}
		for _, u := range f.Units {
			if !slices.Contains(stale[i].Units, u) {
				stale[i].Units = append(stale[i].Units, u)
			}
		}
	}
	return stale
}

// former are, of the failed units' secrets that have a former value here, the
// versions that are active and those before them.
func (s *Syncer) former(ctx context.Context, failed []Dependents) (was, before map[leger.SecretName]leger.Version, err error) {
	held, err := s.cfg.Local.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	was, before = map[leger.SecretName]leger.Version{}, map[leger.SecretName]leger.Version{}
	for _, h := range held {
		uses := func(d Dependents) bool { return slices.Contains(d.Secrets, h.Name.String()) }
		older := slices.DeleteFunc(slices.Clone(h.Kept), func(v leger.Version) bool { return v >= h.Active })
		if len(older) > 0 && slices.ContainsFunc(failed, uses) {
			was[h.Name], before[h.Name] = h.Active, slices.Max(older)
		}
	}
	return was, before, nil
}

// activate makes versions that the store has the active ones, and Podman follow.
func (s *Syncer) activate(ctx context.Context, versions map[leger.SecretName]leger.Version) error {
	for name, v := range versions {
		if err := s.cfg.Local.Activate(ctx, name, v); err != nil {
			return err
		}
	}
	verdicts, err := s.cfg.Local.Reconcile(ctx, nil)
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		if _, ours := versions[v.Name]; ours && v.Err != nil {
			return v.Err
		}
	}
	return nil
}
