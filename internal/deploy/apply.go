package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"leger.run/leger"
)

// Outcome is what Apply has done.
type Outcome struct {
	Generation Generation
	Unchanged  bool     // nothing was to do, and nothing was done
	Started    []string // units that were started
}

// Apply carries out a plan that Prepare made. Errors:
//
//   - those of Plan.Err: nothing was changed
//   - ErrConflict: another deployment is under way, or something that the plan rests
//     on has changed since; nothing was changed
//   - ErrUnhealthy: a unit did not come up; errors.As finds an *UnitFailure, and
//     what was there before is there again
//   - ErrInterrupted: ctx was cancelled; the next Prepare and Apply go on from there
//   - others of the adapters; what was there before is there again
//
// When putting back fails too, the error joins both, and the next Apply goes on.
func (e *Engine) Apply(ctx context.Context, plan Plan, progress Progress) (Outcome, error) {
	if plan.request.Set == nil {
		return Outcome{}, leger.Errorf(leger.CodeInternal, "the plan was not made by Prepare")
	}
	unlock, err := e.store.lock(ctx, app(plan.request.Release))
	if err != nil {
		return Outcome{}, err
	}
	defer unlock()
	fresh, err := e.Prepare(ctx, plan.request)
	if err != nil {
		return Outcome{}, err
	}
	if err := fresh.Err(); err != nil {
		return Outcome{}, err
	}
	if fresh.NeedsConsent() && !fresh.Unchanged() {
		return Outcome{}, leger.Errorf(leger.CodeInvalid, "nobody has agreed to what is new about %s; nothing was changed", plan.Next.Release).
			WithHint("look at the plan, and if it is meant add --yes: leger deploy update %s --yes", plan.Next.Release)
	}
	if !sameDecision(plan, fresh) {
		return Outcome{}, leger.Errorf(leger.CodeConflict, "something has changed on this machine since the plan of %s was made", plan.Next.Release).
			WithHint("try again, and look at the new plan")
	}
	a := &application{engine: e, plan: fresh, app: app(plan.request.Release), progress: progress}
	return a.run(ctx)
}

// sameDecision reports whether two plans ask the user for the same consent.
// Which units happen to run at the moment does not belong to it.
func sameDecision(a, b Plan) bool {
	essence := func(p Plan) []byte {
		text, err := json.Marshal([]any{p.From, p.Next, p.Record, p.Files, p.Secrets, p.Risks, p.Changes.Risks})
		if err != nil {
			return nil // strings and numbers always encode
		}
		return text
	}
	return slices.Equal(essence(a), essence(b))
}

// application is one run of Apply.
type application struct {
	engine   *Engine
	plan     Plan
	app      string
	progress Progress
	rec      record
	touched  bool // units or files were changed
}

func (a *application) run(ctx context.Context) (Outcome, error) {
	p := a.plan
	if p.Unchanged() {
		return Outcome{Generation: p.Next, Unchanged: true}, a.tidy()
	}
	var err error
	if a.rec, err = a.engine.store.load(a.app); err != nil {
		return Outcome{}, err
	}
	if err := a.record(); err != nil {
		return Outcome{}, err
	}
	if err = interrupted(ctx, "nothing was changed"); err == nil {
		err = a.change(ctx)
	}
	switch {
	case err == nil:
		return Outcome{Generation: a.plan.Next, Started: p.Start}, a.commit()
	case errors.Is(err, leger.ErrInterrupted):
		return Outcome{}, a.leave(err)
	default:
		return Outcome{}, a.back(ctx, err)
	}
}

// tidy forgets what an interrupted deployment left when nothing else is to do.
func (a *application) tidy() error {
	rec, err := a.engine.store.load(a.app)
	if err != nil || len(rec.pending) == 0 || rec.current == nil {
		return err
	}
	return a.engine.store.forget(a.app, rec.current.Number, rec.pending)
}

// record writes the generation, so that whatever comes, its files are known.
func (a *application) record() error {
	p := &a.plan
	if !p.Record {
		return nil
	}
	a.progress.tell(Event{Step: StepRecord})
	if p.request.recorded == nil {
		p.Next.CreatedAt = a.engine.cfg.Clock.Now().UTC()
		if p.Next.Consent == "" {
			p.Next.Consent = ConsentStanding
		}
		if err := a.engine.store.write(a.app, p.Next, recordedOf(p.request.Set)); err != nil {
			return err
		}
	}
	return a.engine.store.begin(a.app, a.rec.pending, p.Next.Number)
}

func (a *application) commit() error {
	if !a.plan.Record {
		return a.tidy()
	}
	s := a.engine.store
	if err := s.commit(a.app, a.plan.Next.Number, a.rec.pending); err != nil {
		return err
	}
	if err := s.pardon(a.app, a.plan.Next); err != nil {
		return err
	}
	if from := a.rec.current; a.plan.request.recorded != nil && from != nil && from.Number > a.plan.Next.Number {
		left := failed(*from, a.engine.cfg.Clock.Now(), fmt.Sprintf("you went back from it to generation %d", a.plan.Next.Number))
		left.ByHand = true
		if err := s.remember(a.app, left); err != nil {
			return err
		}
	}
	return s.prune(a.app, a.plan.Next.Number)
}

// change does everything between record and commit.
func (a *application) change(ctx context.Context) error {
	p := a.plan
	before, err := a.engine.failedUnits(ctx, p.Next)
	if err != nil {
		return err
	}
	if p.Replace || len(p.Stop) > 0 {
		a.touched = true
		// From here to the reload nothing is waited for but seconds: it is not cut off
		// halfway, where units would be without their files.
		if err := a.replace(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	if p.Reload {
		a.touched = true
		if err := a.renew(context.WithoutCancel(ctx), before); err != nil {
			return err
		}
	}
	if err := interrupted(ctx, "the files are installed, and the units are not started"); err != nil {
		return err
	}
	if len(p.Start) > 0 {
		a.touched = true
	}
	if err := a.engine.start(ctx, p.Next, without(p.Start, p.others), p.Run, a.progress); err != nil {
		return err
	}
	return a.engine.startOthers(ctx, p.others, a.progress)
}

// renew makes units of the files. What systemd stopped along with others while it started
// has failed, by systemd's account, although nothing is wrong with it: that is forgotten.
// before are the units that had failed before anything was stopped.
func (a *application) renew(ctx context.Context, before []string) error {
	if err := a.engine.renew(ctx, a.app, a.plan.Next, a.plan.Stop, a.progress); err != nil {
		return err
	}
	after, err := a.engine.failedUnits(ctx, a.plan.Next)
	if err == nil {
		a.engine.resetFailed(ctx, without(after, before))
	}
	return err
}

// replace stops what changes and exchanges the files.
func (a *application) replace(ctx context.Context) error {
	e, p := a.engine, a.plan
	if !p.Replace {
		return e.stop(ctx, p.Stop, StepStop, a.progress)
	}
	if err := e.retire(ctx, p.Stop, without(p.Stop, p.Next.services()), StepStop, a.progress); err != nil {
		return err
	}
	a.progress.tell(Event{Step: StepFiles})
	known := slices.Clone(a.rec.pending)
	if a.rec.current != nil {
		known = append(known, *a.rec.current)
	}
	if err := e.removeFiles(ctx, a.app, known); err != nil {
		return err
	}
	if err := e.exchangeData(a.app, a.rec.current, known, p.Next, dataOf(p.request.Set)); err != nil {
		return err
	}
	return e.install(ctx, a.app, p.Next, filesOf(p.request.Set))
}

// leave ends an interrupted deployment where it is: what it left is recorded as
// pending. If it changed nothing, it leaves nothing.
func (a *application) leave(cause error) error {
	if a.touched || !a.plan.Record {
		return cause
	}
	return errors.Join(cause, a.endPending())
}

// endPending takes the new generation back out of the records, but keeps what
// earlier interrupted deployments may have left.
func (a *application) endPending() error {
	s := a.engine.store
	switch {
	case len(a.rec.pending) > 0:
		if err := s.begin(a.app, a.rec.pending[1:], a.rec.pending[0].Number); err != nil {
			return err
		}
		return s.drop(a.app, a.plan.Next.Number)
	case a.rec.current == nil:
		return s.remove(a.app)
	default:
		return s.forget(a.app, a.rec.current.Number, []Generation{a.plan.Next})
	}
}

// without gives what is in all and not in some.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

func asError(err error) *leger.Error {
	e, _ := errors.AsType[*leger.Error](err)
	return e
}

// interrupted is an error when ctx is done.
func interrupted(ctx context.Context, what string) error {
	if ctx.Err() == nil {
		return nil
	}
	return leger.Wrap(leger.CodeInterrupted, ctx.Err(), "the deployment was interrupted: %s", what).
		WithHint("run the same again: it goes on from here")
}
