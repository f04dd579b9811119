package deploy

import (
	"context"
	"slices"

	"leger.run/leger"
)

// step bounds one thing that Podman or systemd does.
func (e *Engine) step(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StepTimeout)
	defer cancel()
	return do(ctx)
}

// stop stops units one after the other, in their order.
func (e *Engine) stop(ctx context.Context, units []string, as Step, progress Progress) error {
	for _, unit := range units {
		progress.tell(Event{Step: as, Unit: unit})
		if err := e.step(ctx, func(ctx context.Context) error { return e.cfg.Units.Stop(ctx, unit) }); err != nil {
			return err
		}
	}
	return nil
}

// install installs a generation's files with its installer.
func (e *Engine) install(ctx context.Context, name string, g Generation, files map[string][]byte) error {
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

// resetFailed makes systemd forget failures of units; that it cannot is no
// trouble of the user's.
func (e *Engine) resetFailed(ctx context.Context, units []string) {
	for _, unit := range units {
		_ = e.step(ctx, func(ctx context.Context) error { return e.cfg.Units.ResetFailed(ctx, unit) })
	}
}
