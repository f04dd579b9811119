package cli

import (
	"context"
	"errors"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/secretsync"
)

// restarts is what came of secrets sync --restart.
type restarts struct {
	Restarted []string // units
	// WentBack are the secrets whose former version, given here, is in place again
	// and whose newest is held back.
	WentBack map[leger.SecretName]leger.Version
}

// restartDependents restarts the units that run with an older value of a secret
// than Podman has, and no others, and waits until they are healthy. If one is
// not, its secrets that have changed get their former value back, and what uses
// them is restarted again. If that is no better, the new values stay.
func (a *app) restartDependents(ctx context.Context, f authFile) (r restarts, err error) {
	m, err := a.openMachine()
	if err != nil {
		return r, err
	}
	defer m.close()
	stale, err := a.stale(ctx, m)
	if err != nil {
		return r, err
	}
	failed, err := a.restartAll(ctx, m, stale, &r)
	if err == nil || len(failed) == 0 {
		return r, err
	}
	cause := err
	was, former, err := a.formerVersions(ctx, f.UserUUID, failed)
	if err != nil {
		return r, errors.Join(cause, err)
	}
	if len(former) == 0 {
		return r, cause
	}
	a.say("putting the former value back: a unit did not come up with the new one")
	if err := a.activate(ctx, f.UserUUID, former); err != nil {
		return r, errors.Join(cause, err)
	}
	if stale, err = a.stale(ctx, m); err == nil {
		_, err = a.restartAll(ctx, m, join(stale, failed), &r)
	}
	if err != nil && !errors.Is(err, leger.ErrInterrupted) {
		// The new values are not to blame.
		err = leger.Wrap(leger.CodePartial, err, "with the former values of the secrets it does not come up either, so the new ones stay")
		return r, errors.Join(cause, err, a.activate(ctx, f.UserUUID, was))
	}
	r.WentBack = former
	if err != nil {
		cause = errors.Join(err, cause)
	}
	return r, errors.Join(wentBack(cause), a.holdBack(f, was))
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

// dependents are units of one deployment that have to be restarted.
type dependents struct {
	deployment deploy.Deployment
	units      []string
	secrets    []string
}

// stale finds what runs with an older value of a secret.
func (a *app) stale(ctx context.Context, m *machine) ([]dependents, error) {
	secrets, err := m.podman.Secrets(ctx)
	if err != nil {
		return nil, localProblem(err)
	}
	all, err := m.engine.List(ctx)
	if err != nil {
		return nil, localProblem(err)
	}
	var found []dependents
	for _, d := range all {
		of := dependents{deployment: d}
		for _, s := range staleUnits(d, secrets) {
			of.units, of.secrets = append(of.units, s.Unit), append(of.secrets, s.Secret)
		}
		if of.units = slices.Compact(of.units); len(of.units) > 0 {
			found = append(found, of)
		}
	}
	return found, nil
}

// restartAll restarts them, one deployment after the other, and gives those of
// deployments in which one did not come up, with the first error.
func (a *app) restartAll(ctx context.Context, m *machine, all []dependents, r *restarts) (failed []dependents, err error) {
	for _, d := range all {
		e := m.engine.RestartUnits(ctx, d.deployment, d.units, a.progress)
		if errors.Is(e, leger.ErrInterrupted) {
			return nil, e
		}
		if e != nil {
			a.explainFailure(e)
			failed = append(failed, d)
			if err == nil {
				err = localProblem(e)
			}
			continue
		}
		for _, u := range d.units {
			if !slices.Contains(r.Restarted, u) {
				r.Restarted = append(r.Restarted, u)
			}
		}
	}
	return failed, err
}

// join adds what failed to what is stale.
func join(stale, failed []dependents) []dependents {
	for _, f := range failed {
		i := slices.IndexFunc(stale, func(d dependents) bool { return d.deployment.Release == f.deployment.Release })
		if i < 0 {
			stale = append(stale, f)
			continue
		}
		for _, u := range f.units {
			if !slices.Contains(stale[i].units, u) {
				stale[i].units = append(stale[i].units, u)
			}
		}
	}
	return stale
}

// formerVersions are, of the failed units' secrets that legerd has a former value
// of, the versions that were the active ones until now and those before them.
func (a *app) formerVersions(ctx context.Context, user leger.UserID, failed []dependents) (was, former map[leger.SecretName]leger.Version, err error) {
	legerd, err := a.legerd()
	if err != nil {
		return nil, nil, err
	}
	stored, err := legerd.List(ctx, user)
	if err != nil {
		return nil, nil, localProblem(err)
	}
	was, former = map[leger.SecretName]leger.Version{}, map[leger.SecretName]leger.Version{}
	for _, x := range stored {
		uses := func(d dependents) bool { return slices.Contains(d.secrets, x.Name.String()) }
		before := slices.DeleteFunc(slices.Clone(x.Versions), func(v leger.Version) bool { return v >= x.Active })
		if len(before) > 0 && slices.ContainsFunc(failed, uses) {
			was[x.Name], former[x.Name] = x.Active, slices.Max(before)
		}
	}
	return was, former, nil
}

// holdBack leaves versions out of this machine from now on.
func (a *app) holdBack(f authFile, versions map[leger.SecretName]leger.Version) error {
	dir, err := a.env.stateDir()
	if err != nil {
		return err
	}
	return secretsync.NewHeldBack(dir, f.Server, f.UserUUID).Add(versions)
}

// activate makes versions that legerd has the active ones, and Podman follow.
func (a *app) activate(ctx context.Context, user leger.UserID, versions map[leger.SecretName]leger.Version) error {
	legerd, err := a.legerd()
	if err != nil {
		return err
	}
	for name, v := range versions {
		if err := legerd.Activate(ctx, user, name, v); err != nil {
			return localProblem(err)
		}
	}
	reconciled, err := legerd.Reconcile(ctx, user)
	if err != nil {
		return localProblem(err)
	}
	for _, o := range reconciled.Secrets {
		if _, ours := versions[o.Name]; ours && (o.Action == localvault.ActionFailed || o.Action == localvault.ActionConflict) {
			return o.Error.Err()
		}
	}
	return nil
}
