package deploy

import (
	"context"
	"os"
	"slices"
	"strings"

	"leger.run/leger"
)

// Deployment is one release on this machine.
type Deployment struct {
	Release string
	// Generation is the current one. For a first deployment that was interrupted it
	// is what was to be installed.
	Generation Generation
	Installed  bool // false: its first deployment was interrupted
	// Running: somebody deploys or removes it at this moment, so that its units and
	// files are between two states.
	Running     bool
	Interrupted bool // an unfinished deployment left something: installing or removing again mends it
	Units       []UnitStatus
	Drift       []FileChange // files that are not on disk as recorded: Change or Drop
	// Damage is why its records cannot be read; then nothing else is known but its name
	// and, in Generation.CreatedAt, when they last changed. It can be removed.
	Damage error
}

// UnitStatus is a unit with its state.
type UnitStatus struct {
	Unit
	State leger.UnitState
	// Health is its container's, as Podman has it: "starting", "healthy", "unhealthy";
	// empty: it has no health check, or Podman does not answer.
	Health string
}

// Up reports that the unit runs, and is not unhealthy, or has run to its end as it
// should.
func (u UnitStatus) Up() bool {
	return running(u.Unit, u.State) && u.Health != unhealthyWord
}

// Healthy reports that everything that should run does and no file was changed. Of
// one that is being deployed nobody knows yet: see Running.
func (d Deployment) Healthy() bool {
	return d.Damage == nil && !d.Interrupted && len(d.Drift) == 0 &&
		!slices.ContainsFunc(d.Units, func(u UnitStatus) bool { return u.Run && !u.Up() })
}

// List gives the deployments in order of name. One whose record is damaged is
// among them, and keeps no other from being listed.
func (e *Engine) List(ctx context.Context) ([]Deployment, error) {
	apps, err := e.store.apps()
	if err != nil {
		return nil, err
	}
	health := e.health(ctx)
	var all []Deployment
	for _, name := range apps {
		d, found, err := e.deployment(ctx, name, health)
		switch {
		case unreadable(err):
			all = append(all, e.remains(name, err))
		case err != nil:
			return nil, err
		case found:
			all = append(all, d)
		}
	}
	return all, nil
}

// remains is a deployment whose records cannot be read.
func (e *Engine) remains(name string, damage error) Deployment {
	d := Deployment{Release: name, Damage: damage}
	if info, err := os.Stat(e.store.app(name)); err == nil {
		d.Generation.CreatedAt = info.ModTime().UTC()
	}
	return d
}

// Status gives one deployment. ErrNotFound if the release is not installed; if its
// records cannot be read, the error is also its Damage.
func (e *Engine) Status(ctx context.Context, release leger.ReleaseName) (Deployment, error) {
	d, found, err := e.deployment(ctx, app(release), e.health(ctx))
	switch {
	case unreadable(err):
		return e.remains(app(release), err), err
	case err == nil && !found:
		err = notInstalled(release)
	}
	return d, err
}

// app is the name of its directory.
func (d Deployment) app() string { return strings.ToLower(d.Release) }

func notInstalled(release leger.ReleaseName) error {
	e := leger.Errorf(leger.CodeNotFound, "%s is not installed on this machine", release)
	e.Field = "name"
	return e.WithHint("see what is: leger deploy list")
}

// health asks Podman for the health of units' containers. Where Podman does not
// answer nothing is known, and that is all.
func (e *Engine) health(ctx context.Context) map[string]string {
	if e.cfg.Podman == nil {
		return nil
	}
	all, err := e.cfg.Podman.Containers(ctx)
	if err != nil {
		return nil
	}
	health := map[string]string{}
	for _, c := range all {
		health[c.Unit] = worse(health[c.Unit], c.Health)
	}
	return health
}

// worse gives the worse of two healths.
func worse(a, b string) string {
	rank := []string{"", healthyWord, startingWord, unhealthyWord}
	if slices.Index(rank, b) > slices.Index(rank, a) {
		return b
	}
	return a
}

func (e *Engine) deployment(ctx context.Context, name string, health map[string]string) (d Deployment, found bool, err error) {
	rec, err := e.store.load(name)
	if err != nil {
		return d, false, err
	}
	switch {
	case rec.current != nil:
		d.Generation, d.Installed = *rec.current, true
	case len(rec.pending) > 0:
		d.Generation = rec.pending[0]
	default:
		return d, false, nil
	}
	if err := e.store.readable(name); err != nil {
		return d, false, err
	}
	d.Release = d.Generation.Release
	busy, err := e.store.underWay()
	if err != nil {
		return d, false, err
	}
	d.Running = busy == name
	d.Interrupted = len(rec.pending) > 0 && !d.Running
	text, err := e.disk(ctx, name, []Generation{d.Generation})
	if err != nil {
		return d, false, err
	}
	disk := hashesOf(text)
	for _, f := range d.Generation.Files {
		switch got := disk[d.Generation.Installer][f.Path]; got {
		case f.fingerprint():
		case "":
			d.Drift = append(d.Drift, FileChange{Path: f.Path, Action: Drop})
		default:
			d.Drift = append(d.Drift, FileChange{Path: f.Path, Action: Change})
		}
	}
	states, err := e.cfg.Units.States(ctx, d.Generation.services()...)
	if err != nil {
		return d, false, err
	}
	for _, u := range d.Generation.Units {
		status := UnitStatus{Unit: u, State: leger.UnitState{Name: u.Service}, Health: health[u.Service]}
		if i := slices.IndexFunc(states, func(s leger.UnitState) bool { return s.Name == u.Service }); i >= 0 {
			status.State = states[i]
		}
		d.Units = append(d.Units, status)
	}
	return d, true, nil
}
