package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"leger.run/leger"
)

// step bounds one thing that Podman or systemd does.
func (e *Engine) step(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StepTimeout)
	defer cancel()
	return do(ctx)
}

// retire stops units, of which some will have no file any more. Nothing starts those
// again in the meantime: a unit that lost its file while it started would run its
// ExecStopPost= no more, which is what removes its container. A reload has to follow.
func (e *Engine) retire(ctx context.Context, units, gone []string, as Step, progress Progress) error {
	if len(gone) > 0 {
		if err := e.step(ctx, func(ctx context.Context) error { return e.cfg.Units.Hold(ctx, gone...) }); err != nil {
			return err
		}
	}
	return e.stop(ctx, units, as, progress)
}

// stop stops units as one set: one after the other they would pull each other up
// again. Each may take its time. What something else starts again each time, such
// as a target that upholds it, is held: a reload has to follow.
func (e *Engine) stop(ctx context.Context, units []string, as Step, progress Progress) error {
	if len(units) == 0 {
		return nil
	}
	for _, unit := range units {
		progress.tell(Event{Step: as, Unit: unit})
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(units))*e.cfg.StepTimeout)
	defer cancel()
	if err := e.cfg.Units.Stop(ctx, units...); err != nil {
		return err
	}
	states, err := e.cfg.Units.States(ctx, units...)
	if err != nil {
		return err
	}
	var again []string
	for _, s := range states {
		if awake(s) && s.LoadState == "loaded" {
			again = append(again, s.Name)
		}
	}
	if len(again) == 0 {
		return nil
	}
	if err := e.cfg.Units.Hold(ctx, again...); err != nil {
		return err
	}
	return e.cfg.Units.Stop(ctx, again...)
}

// install installs a generation's files with its installer.
func (e *Engine) install(ctx context.Context, name string, g Generation, files map[string]leger.File) error {
	in, err := e.installerOf(g)
	if err != nil {
		return err
	}
	return e.step(ctx, func(ctx context.Context) error { return in.Install(ctx, name, files) })
}

// removeFiles removes the files of all the generations, each with its installer.
func (e *Engine) removeFiles(ctx context.Context, name string, generations []Generation) error {
	paths := map[string][]string{}
	for _, g := range generations {
		if _, err := e.installerOf(g); err != nil {
			return err
		}
		paths[g.Installer] = append(paths[g.Installer], g.paths()...)
	}
	for _, in := range e.cfg.Installers {
		files := paths[in.Name()]
		if len(files) == 0 {
			continue
		}
		slices.Sort(files)
		files = slices.Compact(files)
		if err := e.step(ctx, func(ctx context.Context) error { return in.Remove(ctx, name, files) }); err != nil {
			return err
		}
	}
	return nil
}

// reload makes systemd read its units and checks that every unit of the
// generation came of it: a quadlet that Podman's generator does not take is left
// out without an error.
func (e *Engine) reload(ctx context.Context, name string, g Generation, progress Progress) error {
	progress.tell(Event{Step: StepReload})
	if err := e.step(ctx, e.cfg.Units.Reload); err != nil {
		return err
	}
	services := g.services()
	if len(services) == 0 {
		return nil
	}
	in, err := e.installerOf(g)
	if err != nil {
		return err
	}
	var states []leger.UnitState
	err = e.step(ctx, func(ctx context.Context) (err error) {
		states, err = e.cfg.Units.States(ctx, services...)
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range states {
		i := slices.IndexFunc(g.Units, func(u Unit) bool { return u.Service == s.Name })
		if i < 0 {
			continue
		}
		if want := in.Path(name, g.Units[i].File); s.LoadState != "loaded" || !samePath(want, s.Source) {
			return leger.Errorf(leger.CodeUnhealthy, "Podman made no unit %s of %s", s.Name, g.Units[i].File).
				WithHint("see what its generator says: journalctl --user -t quadlet-generator, and try podman quadlet list")
		}
	}
	return nil
}

// renew is reload for a generation that takes the place of another, whose units
// were stopped. One of them that something has started again before the reload
// runs from the former files, and stops. systemd forgets that they failed: it was
// the former files that did, and what is gone would stay in systemctl --failed.
func (e *Engine) renew(ctx context.Context, name string, g Generation, stopped []string, progress Progress) error {
	begun := e.cfg.Clock.Now()
	if err := e.reload(ctx, name, g, progress); err != nil {
		return err
	}
	var states []leger.UnitState
	err := e.step(ctx, func(ctx context.Context) (err error) {
		states, err = e.cfg.Units.States(ctx, stopped...)
		return err
	})
	if err != nil {
		return err
	}
	var former []string
	for _, s := range states {
		if awake(s) && (s.Begun.Before(begun) || s.LoadState == "not-found") {
			former = append(former, s.Name)
		}
	}
	if len(former) > 0 {
		err := e.step(ctx, func(ctx context.Context) error { return e.cfg.Units.Stop(ctx, former...) })
		if err != nil {
			return err
		}
	}
	e.resetFailed(ctx, stopped)
	return nil
}

// startOthers starts units of others again that had to stop together with ours.
// Whether they come up is up to more than this release: one that does not is told,
// and no failure.
func (e *Engine) startOthers(ctx context.Context, units []string, progress Progress) error {
	for _, unit := range units {
		progress.tell(Event{Step: StepStart, Unit: unit})
		err := e.step(ctx, func(ctx context.Context) error { return e.cfg.Units.Start(ctx, unit) })
		if errors.Is(err, leger.ErrInterrupted) {
			return err
		}
		if err != nil {
			progress.tell(Event{Step: StepStart, Unit: unit, Note: fmt.Sprintf("it had to stop, too, and does not start again: %v", err)})
		}
	}
	return nil
}

// resetFailed makes systemd forget failures of units; that it cannot is no
// trouble of the user's.
func (e *Engine) resetFailed(ctx context.Context, units []string) {
	for _, unit := range units {
		_ = e.step(ctx, func(ctx context.Context) error { return e.cfg.Units.ResetFailed(ctx, unit) })
	}
}

// failedUnits gives the units of a generation that have failed.
func (e *Engine) failedUnits(ctx context.Context, g Generation) (failed []string, err error) {
	services := g.services()
	if len(services) == 0 {
		return nil, nil
	}
	err = e.step(ctx, func(ctx context.Context) error {
		states, err := e.cfg.Units.States(ctx, services...)
		for _, s := range states {
			if s.ActiveState == "failed" {
				failed = append(failed, s.Name)
			}
		}
		return err
	})
	return failed, err
}
