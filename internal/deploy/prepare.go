package deploy

import (
	"context"
	"maps"
	"path/filepath"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// Prepare gathers the facts and makes the plan. It changes nothing. A plan that
// cannot be applied is no error: see Plan.Err and Plan.Refusals.
func (e *Engine) Prepare(ctx context.Context, req Request) (Plan, error) {
	facts, err := e.facts(ctx, req)
	if err != nil {
		return Plan{}, err
	}
	return NewPlan(req, facts), nil
}

func (e *Engine) facts(ctx context.Context, req Request) (Facts, error) {
	name := app(req.Release)
	rec, err := e.store.load(name)
	if err != nil {
		return Facts{}, err
	}
	facts := Facts{Current: rec.current, Pending: rec.pending, Number: rec.next, Owners: map[string]string{}, Resources: map[string]string{}}
	facts.VolumeOwners, facts.NetworkOwners = map[string]string{}, map[string]string{}
	if facts.Failures, err = e.store.failures(name); err != nil {
		return Facts{}, err
	}
	if req.recorded != nil {
		facts.Installer = req.recorded.Installer
		if e.installer(facts.Installer) == nil {
			facts.Installer = ""
		}
	} else if in := e.choose(name, rec.current, slices.Collect(maps.Keys(req.Set.Files))); in != nil {
		facts.Installer = in.Name()
	}
	next := nextOf(req, facts)
	facts.places = e.places(name, facts.Installer, req.Set)
	known := slices.Clone(rec.pending)
	if rec.current != nil {
		known = append(known, *rec.current)
	}
	if facts.Text, err = e.disk(ctx, name, append(slices.Clone(known), next)); err != nil {
		return facts, err
	}
	facts.Disk = hashesOf(facts.Text)
	if facts.data, err = e.readData(name, append(slices.Clone(known), next)); err != nil {
		return facts, err
	}
	if facts.former, err = e.findFormerData(ctx, name, known, next); err != nil {
		return facts, err
	}
	if err := e.states(ctx, name, &facts, known, next); err != nil {
		return facts, err
	}
	if err := e.owners(name, &facts, next); err != nil {
		return facts, err
	}
	if err := e.preflight(ctx, req, next, &facts); err != nil {
		return facts, err
	}
	if secrets := next.secrets(); len(secrets) > 0 && e.cfg.Secrets != nil {
		if facts.MissingSecrets, err = e.cfg.Secrets.Missing(ctx, secrets); err != nil {
			return facts, err
		}
	}
	facts.Checked, err = e.check(ctx, req)
	return facts, err
}

// places tells where the scripts that a set's commands name will lie.
func (e *Engine) places(name, installer string, set *quadlet.Set) map[string]string {
	places, in := map[string]string{}, e.installer(installer)
	if in == nil || set == nil {
		return places
	}
	for _, u := range set.Units {
		for _, s := range u.Scripts {
			places[s.Name] = in.Path(name, s.Name)
		}
	}
	return places
}

func (e *Engine) installer(name string) Installer {
	for _, in := range e.cfg.Installers {
		if in.Name() == name {
			return in
		}
	}
	return nil
}

// installerOf gives the installer that a generation was installed with.
// ErrMissingPart if it is not there any more.
func (e *Engine) installerOf(g Generation) (Installer, error) {
	if in := e.installer(g.Installer); in != nil {
		return in, nil
	}
	return nil, leger.Errorf(leger.CodeMissingPart, "%s was installed through %q, which is not there now", g.Release, g.Installer).
		WithHint("install Podman 5.6 or newer again")
}

// disk reads which files of the generations are installed.
func (e *Engine) disk(ctx context.Context, name string, generations []Generation) (map[string]map[string]leger.File, error) {
	paths := map[string][]string{}
	for _, g := range generations {
		paths[g.Installer] = append(paths[g.Installer], g.paths()...)
	}
	disk := map[string]map[string]leger.File{}
	for installer, files := range paths {
		in := e.installer(installer)
		if in == nil {
			continue // refused, or an error at the first need
		}
		found, err := in.Read(ctx, name, files)
		if err != nil {
			return nil, err
		}
		disk[installer] = found
	}
	return disk, nil
}

func hashesOf(disk map[string]map[string]leger.File) map[string]map[string]string {
	hashes := map[string]map[string]string{}
	for installer, files := range disk {
		hashes[installer] = map[string]string{}
		for path, file := range files {
			hashes[installer][path] = fingerprint(hash(file.Data), file.Executable)
		}
	}
	return hashes
}

// states asks for the units of all generations, and tells those apart that were
// made from this release's files.
func (e *Engine) states(ctx context.Context, name string, facts *Facts, known []Generation, next Generation) error {
	facts.States, facts.Ours = map[string]leger.UnitState{}, map[string]bool{}
	sources, recorded := map[string][]string{}, map[string]bool{}
	for _, g := range known {
		in := e.installer(g.Installer)
		for _, u := range g.Units {
			recorded[u.Service] = true
			for _, called := range u.names() {
				if in != nil {
					sources[called] = append(sources[called], in.Path(name, u.File))
				}
			}
		}
	}
	var ask []string
	for _, g := range append(slices.Clone(known), next) {
		ask = append(ask, g.services()...)
	}
	slices.Sort(ask)
	ask = slices.Compact(ask)
	called := slices.Clone(ask)
	for _, u := range next.Units {
		called = append(called, u.Aliases...)
	}
	states, err := e.cfg.Units.States(ctx, called...)
	if err != nil {
		return err
	}
	if facts.Instances, err = e.instances(ctx, known, ask); err != nil {
		return err
	}
	for _, running := range facts.Instances {
		ask = append(ask, running...)
	}
	if facts.Dependents, err = e.cfg.Units.Dependents(ctx, ask...); err != nil {
		return err
	}
	for _, s := range states {
		facts.States[s.Name] = s
		// A unit whose file went away may still run; systemd then knows no source.
		orphan := recorded[s.Name] && s.LoadState == "not-found"
		facts.Ours[s.Name] = orphan || slices.ContainsFunc(sources[s.Name], func(path string) bool { return samePath(path, s.Source) })
	}
	return nil
}

// instances finds those that run of the generations' templates, without the units
// that are known by themselves.
func (e *Engine) instances(ctx context.Context, known []Generation, units []string) (map[string][]string, error) {
	found := map[string][]string{}
	for _, g := range known {
		for _, u := range g.Units {
			if _, done := found[u.Service]; done || !u.Template {
				continue
			}
			running, err := e.cfg.Units.Instances(ctx, u.Service)
			if err != nil {
				return nil, err
			}
			found[u.Service] = without(running, units)
		}
	}
	return found, nil
}

// samePath compares a path of ours with one that Podman's generator found: it
// resolves links on the way, and on some systems /home is one.
func samePath(ours, theirs string) bool {
	if ours == theirs {
		return true
	}
	a, err := filepath.EvalSymlinks(ours)
	if err != nil {
		return false
	}
	b, err := filepath.EvalSymlinks(theirs)
	return err == nil && a == b
}

// owners finds what other releases have of the names that this one needs.
func (e *Engine) owners(name string, facts *Facts, next Generation) error {
	apps, err := e.store.apps()
	if err != nil {
		return err
	}
	here := e.installer(facts.Installer)
	for _, other := range apps {
		if other == name {
			continue
		}
		// A damaged record of another release is no reason to refuse this one: what that
		// has on the machine is found there, as anybody's.
		theirs, _ := e.recorded(other)
		for _, g := range theirs {
			for _, u := range g.Units {
				for _, called := range u.names() {
					if slices.ContainsFunc(next.Units, func(mine Unit) bool { return slices.Contains(mine.names(), called) }) {
						facts.Owners[called] = g.Release
					}
				}
				if u.named() {
					facts.Resources[u.Resource] = g.Release
				}
				if u.Kind == quadlet.Network {
					facts.NetworkOwners[u.Resource] = g.Release
				}
			}
			for _, v := range g.Volumes() {
				facts.VolumeOwners[v] = g.Release
			}
			for _, path := range e.sharedPaths(name, here, next, other, g) {
				facts.Owners[path] = g.Release
			}
		}
	}
	return nil
}

// check checks the files of a request. A generation that was installed here before
// has passed systemd's check, or was installed when there was none: what systemd
// ignores in it is no reason not to go back to it.
func (e *Engine) check(ctx context.Context, req Request) (Checked, error) {
	v := e.cfg.Verifier
	if req.recorded != nil {
		v = nil
	}
	return Check(ctx, req.Set, e.cfg.Generator, v)
}
