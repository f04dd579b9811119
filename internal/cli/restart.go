package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/secretsync"
)

// restarts is what came of secrets sync --restart.
type restarts struct {
	Restarted []string           // units
	WentBack  []leger.SecretName // their former value is in place again, the new version held back
}

// restartDependents restarts the units that run with an older value of a secret
// than Podman has, and no others, and waits until they are healthy. If one is
// not, its secrets that this sync has changed get their former value back, and
// what uses them is restarted again.
func (a *app) restartDependents(ctx context.Context, f authFile, report secretsync.Report) (r restarts, err error) {
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
	former := formerVersions(report, failed)
	if len(former) == 0 {
		return r, err
	}
	cause := err
	a.say("putting the former value back: a unit did not come up with the new one")
	if err := a.goBack(ctx, f, report, former); err != nil {
		return r, errors.Join(cause, err)
	}
	for name := range former {
		r.WentBack = append(r.WentBack, name)
	}
	slices.SortFunc(r.WentBack, func(a, b leger.SecretName) int { return strings.Compare(a.String(), b.String()) })
	if stale, err = a.stale(ctx, m); err == nil {
		_, err = a.restartAll(ctx, m, join(stale, failed), &r)
	}
	if err != nil {
		return r, errors.Join(cause, leger.Wrap(leger.CodePartial, err, "with the former values of the secrets it does not come up either"))
	}
	if e, ok := errors.AsType[*leger.Error](cause); ok {
		known := *e
		known.Message += "; it runs again with the former value of the secret"
		return r, known.WithHint("store a value that works: leger secrets set; the server still has the other one, which syncs leave out from now on")
	}
	return r, cause
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

// formerVersions are the versions that the failed units' secrets had before the
// sync, of those that it changed.
func formerVersions(report secretsync.Report, failed []dependents) map[leger.SecretName]leger.Version {
	former := map[leger.SecretName]leger.Version{}
	for _, x := range report.Results {
		uses := func(d dependents) bool { return slices.Contains(d.secrets, x.Name.String()) }
		if x.Done && x.From > 0 && x.From != x.To && x.To > 0 && slices.ContainsFunc(failed, uses) {
			former[x.Name] = x.From
		}
	}
	return former
}

// goBack holds back the versions that the sync brought, makes legerd's former
// ones the active ones, and Podman follow.
func (a *app) goBack(ctx context.Context, f authFile, report secretsync.Report, former map[leger.SecretName]leger.Version) error {
	legerd, err := a.legerd()
	if err != nil {
		return err
	}
	dir, err := a.env.stateDir()
	if err != nil {
		return err
	}
	brought := map[leger.SecretName]leger.Version{}
	for _, x := range report.Results {
		if _, ok := former[x.Name]; ok {
			brought[x.Name] = x.To
		}
	}
	if err := secretsync.NewHeldBack(dir, f.Server, f.UserUUID).Add(brought); err != nil {
		a.warn("%v", err) // the former values matter more
	}
	for name, v := range former {
		if err := legerd.Activate(ctx, f.UserUUID, name, v); err != nil {
			return localProblem(err)
		}
	}
	reconciled, err := legerd.Reconcile(ctx, f.UserUUID)
	if err != nil {
		return localProblem(err)
	}
	for _, o := range reconciled.Secrets {
		if _, ours := former[o.Name]; ours && (o.Action == localvault.ActionFailed || o.Action == localvault.ActionConflict) {
			return o.Error.Err()
		}
	}
	return nil
}
