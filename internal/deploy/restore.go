package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"leger.run/leger"
)

// back puts back what was there before and says so in the error. The commit has failed
// however that ends: it is remembered, or deploy auto would take it up at each run.
func (a *application) back(ctx context.Context, cause error) error {
	// What an interrupted deployment had installed goes too.
	leftovers := a.plan.Record && len(a.rec.pending) > 0
	if !a.plan.Replace && len(a.plan.Stop) == 0 && !leftovers {
		if a.plan.Record {
			cause = errors.Join(cause, a.endPending(), a.remember(cause))
		}
		return cause
	}
	a.progress.tell(Event{Step: StepBack})
	stuck := a.restore(context.WithoutCancel(ctx))
	if a.plan.Record {
		if err := a.remember(cause); err != nil {
			cause = errors.Join(cause, err)
		}
	}
	if stuck != nil {
		return errors.Join(cause, leger.Wrap(leger.CodePartial, stuck, "what was there before could not be put back").
			WithHint("fix what this message names, then run the command again: Leger goes on where it stopped"))
	}
	what := "its files were removed again"
	if a.rec.current != nil {
		what = fmt.Sprintf("generation %d is installed again", a.rec.current.Number)
	}
	if known := asError(cause); known != nil {
		c := *known
		c.Message += "; " + what
		return &c
	}
	return leger.Wrap(leger.CodeInternal, cause, "%s could not be installed; %s", a.plan.Next.Release, what)
}

func (a *application) remember(cause error) error {
	return a.engine.store.remember(a.app, failureOf(a.plan.Next, a.engine.cfg.Clock.Now(), cause))
}

// restore goes on when a step fails, and gives all errors together: units that
// could run are not left down because another one does not stop.
func (a *application) restore(ctx context.Context) error {
	e := a.engine
	undo, others := a.toUndo(ctx)
	gone := undo
	if a.rec.current != nil {
		gone = without(undo, a.rec.current.services())
	}
	errs := []error{e.retire(ctx, undo, gone, StepBack, a.progress)}
	all := append([]Generation{a.plan.Next}, a.rec.pending...)
	if a.rec.current != nil {
		all = append(all, *a.rec.current)
	}
	errs = append(errs, e.removeFiles(ctx, a.app, all))
	if a.rec.current == nil {
		errs = append(errs, e.exchangeData(a.app, nil, all, Generation{}, nil))
		errs = append(errs, e.renew(ctx, a.app, Generation{}, undo, a.progress), e.startOthers(ctx, others, a.progress))
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return e.store.remove(a.app)
	}
	current := *a.rec.current
	files, err := e.store.files(a.app, current)
	if err == nil {
		err = e.exchangeData(a.app, &current, all, current, files)
	}
	if err == nil {
		err = e.install(ctx, a.app, current, current.installed(files))
	}
	errs = append(errs, err, e.renew(ctx, a.app, current, undo, a.progress))
	errs = append(errs, e.start(ctx, current, a.plan.back, a.plan.back, a.progress))
	others = append(slices.Clone(a.plan.others), without(others, a.plan.others)...)
	errs = append(errs, e.startOthers(ctx, others, a.progress))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	pending := a.rec.pending
	if a.plan.Record {
		pending = append(slices.Clone(pending), a.plan.Next)
	}
	return e.store.forget(a.app, current.Number, pending)
}

// toUndo lists the units that must not run on when the former files come back, and
// the units of others that systemd stops together with these. What did not change
// runs on, if it did before. After an interrupted deployment nobody knows from
// which files a unit runs, so all of them stop.
func (a *application) toUndo(ctx context.Context) (undo, others []string) {
	p := a.plan
	ours := p.Next.services()
	undo = append(without(without(p.Start, p.others), ours), ours...) // instances are units of no generation
	if a.rec.current != nil {
		before := a.rec.current.services()
		if len(a.rec.pending) == 0 {
			undo = slices.DeleteFunc(undo, func(s string) bool {
				return slices.Contains(before, s) && (p.ran[s] || !p.Next.serves(s)) && !slices.Contains(p.Start, s) && !slices.Contains(p.Stop, s)
			})
		}
		ours = append(ours, before...)
	}
	var dependents map[string][]string
	err := a.engine.step(ctx, func(ctx context.Context) (err error) {
		dependents, err = a.engine.cfg.Units.Dependents(ctx, undo...)
		return err
	})
	if err != nil {
		return undo, nil // they are not known, and what is ours comes back all the same
	}
	for _, unit := range undo {
		others = append(others, without(dependents[unit], append(ours, others...))...)
	}
	return undo, others
}
