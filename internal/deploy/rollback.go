package deploy

import (
	"context"
	"maps"
	"slices"

	"leger.run/leger"
)

// Generations lists the generations of a release that one can go back to, the
// oldest first, and the number of the current one (0: none, the first
// installation was interrupted). ErrNotFound if the release is not installed.
func (e *Engine) Generations(release leger.ReleaseName) (all []Generation, current int, err error) {
	name := app(release)
	rec, err := e.store.load(name)
	if err != nil {
		return nil, 0, err
	}
	if rec.current == nil && len(rec.pending) == 0 {
		return nil, 0, notInstalled(release)
	}
	if rec.current != nil {
		current = rec.current.Number
	}
	numbers, err := e.store.committedNumbers(name, current)
	if err != nil {
		return nil, 0, err
	}
	for _, n := range numbers {
		g, err := e.store.manifest(name, n)
		if damaged(err) {
			continue // one can go back to the others
		}
		if err != nil {
			return nil, 0, err
		}
		all = append(all, g)
	}
	return all, current, nil
}

// PrepareRollback makes the plan of going back to a generation, whose files are on
// this machine: no repository is needed. Number 0 is the last before the current
// one that differs from it; while an interrupted deployment waits, the current one
// itself. ErrNotFound if there is no such generation.
func (e *Engine) PrepareRollback(ctx context.Context, release leger.ReleaseName, number int) (Plan, error) {
	all, current, err := e.Generations(release)
	if err != nil {
		return Plan{}, err
	}
	rec, err := e.store.load(app(release))
	if err != nil {
		return Plan{}, err
	}
	if number == 0 {
		number = former(all, current, len(rec.pending) > 0)
	}
	i := slices.IndexFunc(all, func(g Generation) bool { return g.Number == number })
	if i < 0 {
		none := leger.Errorf(leger.CodeNotFound, "%s has no generation to go back to", release)
		if number > 0 {
			none = leger.Errorf(leger.CodeNotFound, "%s has no generation %d", release, number)
		}
		none.Field = "generation"
		return Plan{}, none.WithHint("see which there are: leger deploy status %s", release)
	}
	files, err := e.store.files(app(release), all[i])
	if err != nil {
		return Plan{}, err
	}
	g := all[i]
	return e.Prepare(ctx, Request{Release: release, Source: g.Source, Set: setOf(g, files), recorded: &g})
}

// former is the generation to go back to when none is named, 0 for none: the
// newest before the current one with other files, because a commit that changed
// nothing of the release made a generation, too.
func former(all []Generation, current int, interrupted bool) int {
	if interrupted {
		return current
	}
	i := slices.IndexFunc(all, func(g Generation) bool { return g.Number == current })
	best := 0
	for _, g := range all {
		if g.Number < current && (i < 0 || !maps.Equal(g.hashes(), all[i].hashes())) {
			best = max(best, g.Number)
		}
	}
	return best
}
