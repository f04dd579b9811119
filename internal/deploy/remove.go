package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// KeptVolume is a volume that another release names, too.
type KeptVolume struct {
	Volume  string `json:"volume"`
	Release string `json:"release"` // the other one
	// Doubt is why it is not known whether that names it; empty: it does.
	Doubt string `json:"doubt,omitempty"`
}

// RemoveOptions says what else to remove.
type RemoveOptions struct {
	Volumes bool // the volumes too, with all that is in them
}

// Removed is what Remove has done.
type Removed struct {
	Units          []string     // stopped and gone
	Files          []string     // paths on this machine
	Volumes        []string     // removed, with --volumes
	KeptVolumes    []string     // Podman volumes that stay
	SharedVolumes  []KeptVolume // those of them that stay even with --volumes, because others need them
	KeptData       []string     // directories with what containers have written into relative mounts
	KeptNetworks   []string     // Podman networks that stay
	KeptImages     bool         // images stay always
	Damage         error        // the record could not be read: what is not listed may be left
	FormerRelease  string
	FormerInstance Generation
}

// Remove stops a release's units and removes its files and its record. Volumes
// stay unless they are asked for, and those that another release names stay even
// then; so do networks and images. Cut off anywhere it can be run again. Of a
// release whose record is damaged everything goes that can still be told from it.
// ErrNotFound if the release is not installed; ErrInterrupted when ctx is cancelled
// between two steps.
func (e *Engine) Remove(ctx context.Context, release leger.ReleaseName, options RemoveOptions, progress Progress) (Removed, error) {
	unlock, err := e.store.lock(ctx, app(release))
	if err != nil {
		return Removed{}, err
	}
	defer unlock()
	name := app(release)
	known, damage := e.recorded(name)
	switch {
	case damage != nil && !damaged(damage):
		return Removed{}, damage
	case damage != nil:
		disk, err := e.disk(ctx, name, known)
		if err != nil {
			return Removed{}, err
		}
		known = present(known, hashesOf(disk))
	case len(known) == 0:
		return Removed{}, notInstalled(release)
	}
	if options.Volumes && e.cfg.Volumes == nil {
		return Removed{}, leger.Errorf(leger.CodeMissingPart, "volumes cannot be removed without Podman").WithHint("leave the volumes, or install Podman")
	}
	done := e.inventory(name, known)
	done.Damage = damage
	if done.FormerRelease == "" {
		done.FormerRelease = release.String()
	}
	if done.SharedVolumes, err = e.sharedVolumes(name, done.KeptVolumes); err != nil && options.Volumes {
		return Removed{}, err
	}
	if err := e.takeAway(ctx, name, known, done.Units, progress); err != nil {
		return Removed{}, err
	}
	if err := e.exchangeData(name, nil, known, Generation{Release: done.FormerRelease}, nil); err != nil {
		return done, err
	}
	done.KeptData = e.keptData(name)
	if options.Volumes {
		if err := e.removeVolumes(ctx, &done); err != nil {
			return done, err
		}
	}
	return done, e.store.remove(name)
}

// inventory lists what the generations have on this machine.
func (e *Engine) inventory(name string, generations []Generation) Removed {
	done := Removed{KeptImages: true}
	if len(generations) > 0 {
		done.FormerRelease, done.FormerInstance = generations[0].Release, generations[0]
	}
	for _, g := range generations {
		done.Units = append(done.Units, g.services()...)
		if in := e.installer(g.Installer); in != nil {
			for _, path := range g.paths() {
				done.Files = append(done.Files, in.Path(name, path))
			}
		}
		for _, u := range g.Units {
			done.KeptVolumes = append(done.KeptVolumes, u.Volumes...)
			switch u.Kind {
			case quadlet.Volume:
				done.KeptVolumes = append(done.KeptVolumes, u.Resource)
			case quadlet.Network:
				done.KeptNetworks = append(done.KeptNetworks, u.Resource)
			case quadlet.Container, quadlet.Pod, quadlet.Kube, quadlet.Image, quadlet.Build, quadlet.Artifact:
			}
		}
	}
	done.Units = unique(done.Units)
	for _, list := range []*[]string{&done.Files, &done.KeptVolumes, &done.KeptNetworks} {
		slices.SortFunc(*list, strings.Compare)
		*list = slices.Compact(*list)
	}
	return done
}

// unique keeps the first of each and the order.
func unique(all []string) []string {
	var once []string
	for _, s := range all {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

func (e *Engine) takeAway(ctx context.Context, name string, known []Generation, services []string, progress Progress) error {
	// Another's unit of the same name is left alone: only what runs from our files,
	// or has lost its file, is stopped.
	facts := Facts{}
	if err := e.states(ctx, name, &facts, known, Generation{}); err != nil {
		return err
	}
	ours := slices.DeleteFunc(slices.Clone(services), func(s string) bool { return !facts.Ours[s] })
	for _, template := range slices.Sorted(maps.Keys(facts.Instances)) {
		ours = append(slices.Clone(facts.Instances[template]), ours...)
	}
	var others []string
	for _, unit := range ours {
		others = append(others, without(facts.Dependents[unit], append(slices.Clone(services), others...))...)
	}
	if err := interrupted(ctx, "nothing is stopped or removed"); err != nil {
		return err
	}
	err := e.retire(ctx, ours, ours, StepStop, progress)
	if err == nil {
		err = interrupted(ctx, "the units are stopped, and nothing is removed")
	}
	if err != nil { // what is not removed may be started again
		return errors.Join(err, e.cfg.Units.Reload(context.WithoutCancel(ctx)))
	}
	// A moment's work, not cut off halfway.
	ctx = context.WithoutCancel(ctx)
	progress.tell(Event{Step: StepFiles})
	if err := e.removeFiles(ctx, name, known); err != nil {
		return err
	}
	if err := e.renew(ctx, name, Generation{}, ours, progress); err != nil {
		return err
	}
	return e.startOthers(ctx, others, progress)
}

// sharedVolumes finds those of the volumes that another release names. An error
// means that somebody's record cannot be read, so that nobody knows.
func (e *Engine) sharedVolumes(name string, volumes []string) ([]KeptVolume, error) {
	apps, err := e.store.apps()
	if err != nil {
		return nil, err
	}
	var shared []KeptVolume
	var unknown error
	for _, other := range apps {
		if other == name {
			continue
		}
		theirs, err := e.recorded(other)
		if err != nil && len(theirs) == 0 {
			unknown = leger.Wrap(leger.CodeConflict, err, "which volumes the release %s uses is not known: its record is damaged", other).
				WithHint("leave out --volumes, or remove that release first: leger deploy remove %s", other)
		}
		for _, g := range theirs {
			for _, v := range e.namedBy(other, g, volumes) {
				if !slices.ContainsFunc(shared, func(k KeptVolume) bool { return k.Volume == v.Volume && k.Release == v.Release }) {
					shared = append(shared, v)
				}
			}
		}
	}
	return shared, unknown
}

// namedBy finds those of the volumes that a generation of another release names, or
// may name: its files tell more than its manifest.
func (e *Engine) namedBy(other string, g Generation, volumes []string) []KeptVolume {
	files, err := e.store.files(other, g)
	set := &quadlet.Set{}
	if err == nil {
		set = setOf(g, files)
	}
	var kept []KeptVolume
	for _, v := range volumes {
		named, doubt := set.NamesVolume(v)
		switch {
		case slices.Contains(g.Volumes(), v):
			kept = append(kept, KeptVolume{Volume: v, Release: g.Release})
		case err != nil:
			kept = append(kept, KeptVolume{v, g.Release, "its recorded files cannot be read"})
		case named:
			kept = append(kept, KeptVolume{v, g.Release, doubt})
		}
	}
	return kept
}

// removeVolumes removes the volumes that no other release names.
func (e *Engine) removeVolumes(ctx context.Context, done *Removed) error {
	for _, volume := range slices.Clone(done.KeptVolumes) {
		if slices.ContainsFunc(done.SharedVolumes, func(k KeptVolume) bool { return k.Volume == volume }) {
			continue
		}
		if err := e.step(ctx, func(ctx context.Context) error { return e.cfg.Volumes.RemoveVolume(ctx, volume) }); err != nil {
			return err
		}
		done.Volumes, done.KeptVolumes = append(done.Volumes, volume), without(done.KeptVolumes, []string{volume})
	}
	return nil
}
