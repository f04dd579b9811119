package secretsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
)

// finish is how long a replacement that has begun may take to end after the user
// has interrupted: its two halves belong together.
const finish = 5 * time.Second

// Config wires a Syncer.
type Config struct {
	Server Server
	Local  Local
	// Memory remembers the server's state after a sync that wholly succeeded.
	Memory *Memory
	// HeldBack are the versions that stay out; nil: none.
	HeldBack *HeldBack
	// Retry brings them all the same, and forgets that they were held back.
	Retry bool
	// Planned is told the plan before its first step; nil: nobody.
	Planned func(Plan)
	// Done is told each step that ended well; nil: nobody.
	Done func(Step)
}

// Syncer syncs one user's secrets: Server and Local are bound to that user.
type Syncer struct{ cfg Config }

// New makes a Syncer.
func New(c Config) *Syncer {
	if c.HeldBack == nil {
		c.HeldBack = &HeldBack{}
	}
	if c.Planned == nil {
		c.Planned = func(Plan) {}
	}
	if c.Done == nil {
		c.Done = func(Step) {}
	}
	return &Syncer{c}
}

// Result is what became of one secret.
type Result struct {
	Step
	State string // the store's verdict; empty when there was none
	Done  bool   // the machine's store holds what it should
	Err   error  // why the secret is not wholly in place
}

// Report is what became of a sync.
type Report struct {
	Plan        Plan
	Results     []Result // one per step of the plan, in its order
	NotModified bool     // the server's side had not changed since the last sync
}

// Failed gives the results that did not end well.
func (r Report) Failed() []Result {
	var failed []Result
	for _, x := range r.Results {
		if x.Err != nil {
			failed = append(failed, x)
		}
	}
	return failed
}

// Held is what the machine's store holds after the sync, as far as the sync
// knows: a secret whose step failed is taken to be as it was.
func (r Report) Held() map[leger.SecretName]leger.Version {
	held := make(map[leger.SecretName]leger.Version, len(r.Results))
	for _, x := range r.Results {
		v := x.From
		if x.Done {
			v = x.To
		}
		if v > 0 {
			held[x.Name] = v
		}
	}
	return held
}

// Plan says what Sync would do, and changes nothing.
func (s *Syncer) Plan(ctx context.Context) (Plan, error) {
	job, err := s.prepare(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer job.wipe()
	return job.plan, nil
}

// Sync does it. The report is good with an error, too: ErrPartial names the
// secrets that failed, ErrInterrupted came from the user, ErrMissingPart from a
// store that cannot be reached; the server's own errors come as they are.
func (s *Syncer) Sync(ctx context.Context) (Report, error) {
	job, err := s.prepare(ctx)
	if err != nil {
		return Report{}, err
	}
	defer job.wipe()
	s.cfg.Planned(job.plan)
	report := Report{Plan: job.plan, NotModified: job.notModified}
	for _, st := range job.plan.Steps {
		report.Results = append(report.Results, Result{Step: st})
	}
	if err := s.apply(ctx, job, &report); err != nil {
		return report, err
	}
	verdicts, err := s.cfg.Local.Reconcile(ctx)
	if err != nil {
		return report, stopped(ctx, err, &report)
	}
	s.judge(verdicts, &report)
	if err := failure(report); err != nil {
		return report, err
	}
	if err := s.cfg.HeldBack.keepOnly(job.plan); err != nil {
		return report, err
	}
	return report, s.cfg.Memory.keep(job.etag, afterwards(job.plan))
}

// apply does the plan's steps. A step that fails does not keep the others from
// being done, unless the user or the store has gone.
func (s *Syncer) apply(ctx context.Context, j job, r *Report) error {
	if err := s.settle(ctx, j, r); err != nil {
		return err
	}
	for i := range r.Results {
		res := &r.Results[i]
		if res.Err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return stopped(ctx, err, r)
		}
		err := s.step(ctx, res.Step, j.values[res.Name])
		res.Done = err == nil && res.Action != ActionHeldBack
		switch {
		case err == nil:
			if res.Changes() {
				s.cfg.Done(res.Step)
			}
		case ctx.Err() != nil || errors.Is(err, leger.ErrMissingPart):
			res.Err = err
			return stopped(ctx, err, r)
		default:
			res.Err = err
		}
	}
	return nil
}

// settle brings Podman level with the store before numbers are used for other
// values than they had here: Podman's side is compared by number alone, so a
// number that it has seen must not come back with another value. Values that take
// the place of another under the same number go there under one of their own.
func (s *Syncer) settle(ctx context.Context, j job, r *Report) error {
	var waiting []*Result
	replaces := j.plan.Count(ActionReplaced) > 0
	for i := range r.Results {
		res := &r.Results[i]
		if res.Via == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return stopped(ctx, err, r)
		}
		if res.Err = s.createFree(ctx, res.Name, res.Via, j.values[res.Name]); res.Err == nil {
			waiting = append(waiting, res)
		} else if ctx.Err() != nil || errors.Is(res.Err, leger.ErrMissingPart) {
			return stopped(ctx, res.Err, r)
		}
	}
	again := slices.ContainsFunc(j.plan.Steps, func(s Step) bool { return s.Again })
	if !replaces && !again && (j.knownServer || j.plan.Count(ActionNew) == 0) {
		return nil
	}
	verdicts, err := s.cfg.Local.Reconcile(ctx)
	// Without Podman new secrets wait for it in the store.
	if err != nil && (replaces || again || ctx.Err() != nil) {
		return stopped(ctx, err, r)
	}
	for _, v := range verdicts {
		for _, res := range waiting {
			if res.Name == v.Name && v.Err != nil {
				res.Err = v.Err
			}
		}
	}
	return nil
}

// createFree writes a value under the first number from v on that was never used.
func (s *Syncer) createFree(ctx context.Context, name leger.SecretName, v leger.Version, value leger.Plaintext) error {
	const most = 32
	var err error
	for n := range leger.Version(most) {
		if err = s.cfg.Local.Create(ctx, name, v+n, value); !errors.Is(err, leger.ErrConflict) {
			return err
		}
	}
	return err
}

func (s *Syncer) step(ctx context.Context, st Step, value leger.Plaintext) error {
	switch st.Action {
	case ActionRemoved:
		return ignoreNotFound(s.cfg.Local.Delete(ctx, st.Name))
	case ActionNew, ActionChanged, ActionReplaced:
		created, err := s.create(ctx, st.Name, st.To, value)
		if err != nil || created {
			return err
		}
	case ActionUnchanged, ActionHeldBack:
	}
	for _, v := range st.Drop {
		if err := ignoreNotFound(s.cfg.Local.DeleteVersion(ctx, st.Name, v)); err != nil {
			return err
		}
	}
	return nil
}

// create writes the server's version, or makes it the active one where it is there
// already, held back until now. A number that was used before for another value
// cannot be written again: then the secret is made anew (and has no old
// versions), both halves even if the user interrupts between them.
func (s *Syncer) create(ctx context.Context, name leger.SecretName, v leger.Version, value leger.Plaintext) (anew bool, err error) {
	err = s.cfg.Local.Create(ctx, name, v, value)
	if !errors.Is(err, leger.ErrConflict) {
		return false, err
	}
	if there, err := s.holds(ctx, Value{name, v, value}); err != nil || there {
		if err == nil {
			err = s.cfg.Local.Activate(ctx, name, v)
		}
		return false, err
	}
	pair, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	if err := ignoreNotFound(s.cfg.Local.Delete(pair, name)); err != nil {
		return false, err
	}
	return true, s.cfg.Local.Create(pair, name, v, value)
}

// judge puts the store's verdicts beside the results.
func (s *Syncer) judge(verdicts []Verdict, r *Report) {
	by := make(map[leger.SecretName]Verdict, len(verdicts))
	for _, v := range verdicts {
		by[v.Name] = v
	}
	for i := range r.Results {
		res := &r.Results[i]
		v, ok := by[res.Name]
		if !ok {
			continue
		}
		res.State = v.State
		if res.Err == nil {
			res.Err = v.Err
		}
	}
}

// present maps names to their active versions.
func present(held []Held) map[leger.SecretName]leger.Version {
	out := make(map[leger.SecretName]leger.Version, len(held))
	for _, h := range held {
		out[h.Name] = h.Active
	}
	return out
}

// afterwards is what the machine holds when a plan is done.
func afterwards(p Plan) map[leger.SecretName]leger.Version {
	out := make(map[leger.SecretName]leger.Version, len(p.Steps))
	for _, st := range p.Steps {
		switch st.Action {
		case ActionRemoved:
		case ActionHeldBack:
			out[st.Name] = st.From
		case ActionNew, ActionChanged, ActionReplaced, ActionUnchanged:
			out[st.Name] = st.To
		}
	}
	return out
}

// failure names the secrets that failed: nil if none did.
func failure(r Report) error {
	failed := r.Failed()
	if len(failed) == 0 {
		return nil
	}
	names := make([]string, 0, len(failed))
	for _, f := range failed {
		names = append(names, f.Name.String())
	}
	const shown = 10
	list := strings.Join(names[:min(len(names), shown)], ", ")
	if more := len(names) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	e := leger.Errorf(leger.CodePartial, "%d of %d secrets could not be synced: %s", len(failed), len(r.Results), list)
	var first *leger.Error
	if errors.As(failed[0].Err, &first) && first.Hint != "" {
		return e.WithHint("%s", first.Hint)
	}
	return e.WithHint("the lines above say why; run leger secrets sync again when it is mended")
}

// stopped explains why a sync ended early; r is nil before the first step.
func stopped(ctx context.Context, err error, r *Report) error {
	if ctx.Err() == nil || !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	done, todo := 0, 0
	if r != nil {
		for _, x := range r.Results {
			if !x.Changes() {
				continue
			}
			todo++
			if x.Done {
				done++
			}
		}
	}
	e := leger.Errorf(leger.CodeInterrupted, "interrupted: %d of %d changes were made, every secret is at its old or its new value", done, todo)
	if todo == 0 {
		e = leger.Errorf(leger.CodeInterrupted, "interrupted: nothing was changed")
	}
	return e.WithHint("leger secrets sync finishes the job")
}

func ignoreNotFound(err error) error {
	if errors.Is(err, leger.ErrNotFound) {
		return nil
	}
	return err
}
