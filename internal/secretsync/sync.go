package secretsync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"leger.run/leger"
)

// Config wires a Syncer.
type Config struct {
	Server Server
	Local  Local
	// Lock keeps other processes out meanwhile; nil: nobody has to be.
	Lock *Lock
	// Memory remembers the server's state after a sync that wholly succeeded.
	Memory *Memory
	// HeldBack are the versions that stay out; nil: none.
	HeldBack *HeldBack
	// Retry brings them all the same, and forgets that they were held back.
	Retry bool
	// Consent is asked before the first step of a plan that has a Doubt, and gives an
	// error to refuse it; nil: it is refused with a NeedsConsent.
	Consent func(context.Context, Plan) error
	// Planned is told the plan before its first step; nil: nobody.
	Planned func(Plan)
	// Done is told each step that ended well; nil: nobody.
	Done func(Step)
}

// Syncer syncs one user's secrets: Server and Local are bound to that user. It is
// not safe for concurrent use.
type Syncer struct {
	cfg  Config
	held bool // it has the lock
}

// Hold keeps the lock over several calls of Sync and Restart, until release. Errors
// as in Lock.Acquire.
func (s *Syncer) Hold(ctx context.Context) (release func(), err error) {
	if s.held {
		return func() {}, nil
	}
	unlock, err := s.cfg.Lock.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	s.held = true
	return func() {
		s.held = false
		unlock()
	}, nil
}

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
	if c.Lock == nil {
		c.Lock = &Lock{}
	}
	return &Syncer{cfg: c}
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
	Begun       bool     // false: it needed consent and did not get it
}

// ReportOf is the report of a plan of which nothing is done yet.
func ReportOf(p Plan) Report {
	r := Report{Plan: p}
	for _, st := range p.Steps {
		r.Results = append(r.Results, Result{Step: st})
	}
	return r
}

// removed are the secrets that are gone from the store, or only Podman has.
func (r Report) removed() []leger.SecretName {
	var names []leger.SecretName
	for _, x := range r.Results {
		if x.Action == ActionRemoved && x.Done {
			names = append(names, x.Name)
		}
	}
	return names
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
	release, err := s.Hold(ctx)
	if err != nil {
		return Report{}, err
	}
	defer release()
	job, err := s.prepare(ctx)
	if err != nil {
		return Report{}, err
	}
	defer job.wipe()
	report := ReportOf(job.plan)
	report.NotModified = job.notModified
	if err := s.consent(ctx, job); err != nil {
		return report, err
	}
	report.Begun = true
	s.cfg.Planned(job.plan)
	if err := s.apply(ctx, job, &report); err != nil {
		return report, err
	}
	verdicts, err := s.cfg.Local.Reconcile(ctx, report.removed())
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
	left := record{identity: job.now, ETag: job.etag, Withheld: job.plan.NotGiven}
	return report, s.cfg.Memory.keep(left, afterwards(job.plan))
}

// apply does the plan's steps. A step that fails does not keep the others from
// being done, unless the user or the store has gone.
func (s *Syncer) apply(ctx context.Context, j job, r *Report) error {
	for i := range r.Results {
		res := &r.Results[i]
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

func (s *Syncer) step(ctx context.Context, st Step, value leger.Plaintext) error {
	switch st.Action {
	case ActionRemoved:
		return ignoreNotFound(s.cfg.Local.Delete(ctx, st.Name))
	case ActionNew, ActionChanged, ActionReplaced:
		anew, err := s.create(ctx, st, value)
		if err != nil || anew {
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
// already, held back until now. A number that was used for another value before
// takes the new one, and the secret has no old versions then.
func (s *Syncer) create(ctx context.Context, st Step, value leger.Plaintext) (anew bool, err error) {
	if st.From != st.To {
		err = s.cfg.Local.Create(ctx, st.Name, st.To, value)
		if !errors.Is(err, leger.ErrConflict) {
			return false, err
		}
		if there, err := s.holds(ctx, Value{st.Name, st.To, value}); err != nil || there {
			if err == nil {
				err = s.cfg.Local.Activate(ctx, st.Name, st.To)
			}
			return false, err
		}
	}
	return true, s.cfg.Local.Replace(ctx, st.Name, st.To, value)
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
	return e.WithHint("the lines above say why; run leger secrets sync again when that is fixed")
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
