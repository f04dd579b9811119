package cli

import (
	"context"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/secretsync"
)

// restartDependents is secrets sync --restart after the sync.
func (a *app) restartDependents(ctx context.Context, s *secretsync.Syncer) (secretsync.Restarts, error) {
	m, err := a.openMachine()
	if err != nil {
		return secretsync.Restarts{}, err
	}
	defer m.close()
	return s.Restart(ctx, &dependents{app: a, m: m}, func() {
		a.say("putting the former value back: a unit did not come up with the new one")
	})
}

// dependents are the units of what is installed, as a sync sees them.
type dependents struct {
	app *app
	m   *machine
	all []deploy.Deployment // what Stale last saw
}

func (d *dependents) Stale(ctx context.Context) ([]secretsync.Dependents, error) {
	secrets, err := d.m.held(ctx)
	if err != nil {
		return nil, localProblem(err)
	}
	if d.all, err = d.m.engine.List(ctx); err != nil {
		return nil, localProblem(err)
	}
	var found []secretsync.Dependents
	for _, one := range d.all {
		of := secretsync.Dependents{Deployment: one.Release}
		for _, s := range secrets.Stale(one) {
			of.Units, of.Secrets = append(of.Units, s.Unit), append(of.Secrets, s.Secret)
		}
		if of.Units = slices.Compact(of.Units); len(of.Units) > 0 {
			found = append(found, of)
		}
	}
	return found, nil
}

func (d *dependents) Restart(ctx context.Context, of secretsync.Dependents) error {
	i := slices.IndexFunc(d.all, func(x deploy.Deployment) bool { return x.Release == of.Deployment })
	if i < 0 {
		return leger.Errorf(leger.CodeNotFound, "the release %s is not installed any more", of.Deployment)
	}
	err := d.m.engine.RestartUnits(ctx, d.all[i], of.Units, d.app.progress)
	if err != nil {
		d.app.explainFailure(err)
	}
	return localProblem(err)
}
