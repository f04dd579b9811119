package deploy

import (
	"context"
	"slices"
	"strings"

	"leger.run/leger"
)

// Find gives a unit that Leger has installed, with the deployment it belongs to.
// The suffix may be left out; an instance belongs to its template. ErrNotFound
// for any other unit of the machine.
func (e *Engine) Find(ctx context.Context, unit string) (Deployment, UnitStatus, error) {
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	all, err := e.List(ctx)
	if err != nil {
		return Deployment{}, UnitStatus{}, err
	}
	for _, d := range all {
		i := slices.IndexFunc(d.Units, func(u UnitStatus) bool { return u.Service == unit || instanceOf(unit, u.Unit) })
		if i < 0 {
			continue
		}
		found := d.Units[i]
		if found.Template && unit != found.Service {
			states, err := e.cfg.Units.States(ctx, unit)
			if err != nil {
				return d, found, err
			}
			found.State = states[0]
			found.Service, found.Template = unit, false
		}
		return d, found, nil
	}
	none := leger.Errorf(leger.CodeNotFound, "Leger has installed no unit %.80q", unit)
	none.Field = "unit"
	return Deployment{}, UnitStatus{}, none.WithHint("see which it has: leger service list; others are systemctl's: systemctl --user")
}

// instanceOf reports whether unit is an instance of a template: web@1.service of
// web@.service.
func instanceOf(unit string, template Unit) bool {
	name, instance, ok := strings.Cut(unit, "@")
	return ok && template.Template && instance != ".service" && template.Service == name+"@.service"
}

// StartUnit starts a unit that Find has found and waits until it is up and
// healthy. Errors as Apply's, without a way back.
func (e *Engine) StartUnit(ctx context.Context, d Deployment, u UnitStatus, progress Progress) error {
	return e.control(ctx, d, []string{u.Service}, e.cfg.Units.Start, progress)
}

// RestartUnits restarts units of a deployment, at once, and waits until they are
// up and healthy again. Errors as StartUnit.
func (e *Engine) RestartUnits(ctx context.Context, d Deployment, services []string, progress Progress) error {
	return e.control(ctx, d, services, e.cfg.Units.Restart, progress)
}

func (e *Engine) control(ctx context.Context, d Deployment, services []string, do verb, progress Progress) error {
	unlock, err := e.store.lock(ctx, d.app())
	if err != nil {
		return err
	}
	defer unlock()
	return e.bring(ctx, d.Generation, services, services, do, progress)
}

// StopUnit stops a unit that Find has found.
func (e *Engine) StopUnit(ctx context.Context, u UnitStatus, progress Progress) error {
	unlock, err := e.store.lock(ctx, "")
	if err != nil {
		return err
	}
	defer unlock()
	progress.tell(Event{Step: StepStop, Unit: u.Service})
	return e.step(ctx, func(ctx context.Context) error { return e.cfg.Units.Stop(ctx, u.Service) })
}
