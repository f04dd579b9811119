package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/secretsync"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/terminal"
)

func (a *app) syncCmd() *cobra.Command {
	var in syncFlags
	sync := &cobra.Command{
		Use: "sync", Short: "Bring your secrets to this machine's Podman",
		Long: `Bring your secrets to this machine: new and changed ones are fetched and become
Podman secrets, deleted ones are removed, and so are those that this machine is not given any more
(leger secrets scope). Cut anywhere, every secret is at its old
or its new value, and the next sync finishes the job.

With --restart the units that run with an older value of a secret are restarted,
and no others. If one does not come up with the new value, the former one is put
back, and the new version is held back: syncs leave it out until there is a later
one, or with --retry.

If this machine has the secrets of another account or of another server, if the
server was restored from a backup, or if most secrets are gone from it at once, what
would go from this machine is listed first, and you are asked. Without a terminal
that needs --yes; otherwise nothing is changed, and the exit code is 5.`,
		Example: "  leger secrets sync\n  leger secrets sync --restart\n  leger secrets sync --dry-run\n  leger secrets sync --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.sync(cmd.Context(), in) },
	}
	sync.Flags().BoolVarP(&in.dryRun, "dry-run", "n", false, "show what would be done, change nothing")
	sync.Flags().BoolVar(&in.restart, "restart", false, "restart the units that run with an older value, and wait until they are healthy")
	sync.Flags().BoolVarP(&in.yes, "yes", "y", false, "consent to what would go from this machine, without being asked")
	sync.Flags().BoolVar(&in.retry, "retry", false, "bring versions again that were held back because a unit did not come up with them")
	return sync
}

type syncFlags struct{ dryRun, restart, retry, yes bool }

// syncJSON is secrets sync in --json.
type syncJSON struct {
	Server      string           `json:"server"`
	DryRun      bool             `json:"dry_run"`
	NotModified bool             `json:"not_modified"` // the server's side had not changed
	Secrets     []syncSecretJSON `json:"secrets"`
	// Withheld are secrets that there are and that this machine is not given, NotGiven their
	// number. Where nothing has changed since the last sync only that is known.
	Withheld []leger.SecretName `json:"withheld,omitempty"`
	NotGiven int                `json:"not_given,omitempty"`
	// Consent is what the user has to consent to before anything is done; absent when
	// nothing is.
	Consent     *consentJSON `json:"consent,omitempty"`
	Error       *failureJSON `json:"error,omitempty"`        // why the sync as a whole did not end well
	ReportError *failureJSON `json:"report_error,omitempty"` // why the server was not told what this machine holds
	// With --restart: units that were restarted and are healthy, secrets that have
	// their former value again, and why.
	Restarted    []string     `json:"restarted,omitempty"`
	WentBack     []string     `json:"went_back,omitempty"`
	RestartError *failureJSON `json:"restart_error,omitempty"`
}

// consentJSON is why a sync needs consent, and what would go from this machine.
type consentJSON struct {
	Reason  secretsync.Doubt `json:"reason"`
	Message string           `json:"message"`
	Lost    []lossJSON       `json:"lost"`
}

type lossJSON struct {
	Name     string        `json:"name"`
	Version  leger.Version `json:"version,omitempty"` // of the value that goes
	Replaced bool          `json:"replaced"`          // the secret stays, with another value
}

type syncSecretJSON struct {
	Name        string            `json:"name"`
	Action      secretsync.Action `json:"action"`
	FromVersion leger.Version     `json:"from_version,omitempty"`
	ToVersion   leger.Version     `json:"to_version,omitempty"`
	Reason      string            `json:"reason,omitempty"` // why it was replaced or held back
	Podman      string            `json:"podman,omitempty"` // legerd's verdict
	Done        bool              `json:"done"`
	Error       *failureJSON      `json:"error,omitempty"`
}

// sync runs a sync and shows the plan and the verdict per secret.
func (a *app) sync(ctx context.Context, in syncFlags) error {
	f, c, err := a.signedIn()
	if err != nil {
		return err
	}
	s, err := a.syncer(f, c, syncOptions{retry: in.retry, consent: a.askConsent(in.yes)})
	if err != nil {
		return err
	}
	if in.dryRun {
		return a.syncDryRun(ctx, f, s, in.yes)
	}
	release, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	report, syncErr := s.Sync(ctx)
	if len(report.Results) == 0 && syncErr != nil {
		return syncErr
	}
	if !report.Begun && syncErr != nil { // nobody consented
		return errors.Join(syncErr, a.printSync(f, syncReportJSON(f, report, false, syncErr), report, syncErr))
	}
	var r secretsync.Restarts
	var restartErr error
	if in.restart && ctx.Err() == nil {
		r, restartErr = a.restartDependents(ctx, s)
		report.WentBack(r.WentBack)
	}
	out := syncReportJSON(f, report, false, syncErr)
	out.Restarted, out.RestartError = r.Restarted, failureOf(restartErr)
	for name := range r.WentBack {
		out.WentBack = append(out.WentBack, name.String())
	}
	slices.Sort(out.WentBack)
	out.ReportError = failureOf(a.reportSecrets(ctx, f, c, report))
	if err := a.printSync(f, out, report, syncErr); err != nil && syncErr == nil {
		return err
	}
	if len(out.Restarted) > 0 {
		a.say("Restarted: %s.", strings.Join(out.Restarted, ", "))
	}
	return errors.Join(restartErr, syncErr)
}

// syncDryRun shows the plan. One that needs consent ends with the code that a sync
// without it would end with.
func (a *app) syncDryRun(ctx context.Context, f signin.SignIn, s *secretsync.Syncer, yes bool) error {
	plan, err := s.Plan(ctx)
	if err != nil {
		return err
	}
	if !yes {
		err = plan.Refusal()
	}
	report := secretsync.ReportOf(plan)
	if !a.flags.json {
		a.showLoss(plan)
	}
	if printed := a.printSync(f, syncReportJSON(f, report, true, err), report, err); printed != nil {
		return printed
	}
	return err
}

// askConsent gives what a sync asks before it takes values from this machine.
func (a *app) askConsent(yes bool) func(context.Context, secretsync.Plan) error {
	return func(ctx context.Context, p secretsync.Plan) error {
		switch {
		case yes:
			a.showLoss(p)
			return nil
		case !a.mayAsk():
			return p.Refusal()
		}
		a.showLoss(p)
		ok, err := a.confirm(ctx, "Take these values from this machine?")
		if err != nil {
			return err
		}
		if !ok {
			return leger.Errorf(leger.CodeConflict, "not confirmed: nothing was changed")
		}
		return nil
	}
}

// showLoss lists what would go.
func (a *app) showLoss(p secretsync.Plan) {
	if p.Doubt == "" {
		return
	}
	a.warn("%s.", p.Why())
	for _, l := range p.Lost {
		version := ""
		if l.Version > 0 {
			version = fmt.Sprintf(" (version %d)", l.Version)
		}
		what := "would be removed"
		if l.Replaced {
			what = "would get another value"
		}
		a.errln("  " + l.Name.String() + version + " " + what)
	}
	if p.Doubt == secretsync.DoubtAccount {
		a.say("legerd keeps the other account's values: they come back when that account signs in and syncs here.")
	}
}

type syncOptions struct {
	retry bool
	// consent is asked before values go from this machine; nil: they do not.
	consent func(context.Context, secretsync.Plan) error
}

// syncer wires a sync of the signed-in user with legerd, started if need be.
func (a *app) syncer(f signin.SignIn, c *client.Client, o syncOptions) (*secretsync.Syncer, error) {
	legerd, err := a.legerd()
	if err != nil {
		return nil, err
	}
	dir, err := a.env.stateDir()
	if err != nil {
		return nil, err
	}
	return secretsync.New(secretsync.Config{
		Server: remote{c}, Local: store{legerd, f.UserUUID, a.startLegerd},
		Memory:   secretsync.NewMemory(dir, f.Server, f.UserUUID),
		HeldBack: secretsync.NewHeldBack(dir, f.Server, f.UserUUID), Retry: o.retry,
		Lock: secretsync.NewLock(dir, func(holder string) {
			a.say("another leger (%s) is bringing secrets to this machine: waiting for it", holder)
		}),
		Consent: o.consent,
		Planned: func(p secretsync.Plan) {
			if n := p.Changes(); n > 0 {
				a.say("%s to bring to this machine.", plural(n, "change"))
			}
		},
		Done: func(st secretsync.Step) { a.detail("%s %s", st.Name, st.Action) },
	}), nil
}

func (a *app) printSync(f signin.SignIn, out syncJSON, r secretsync.Report, syncErr error) error {
	dryRun := out.DryRun
	if a.flags.json {
		return a.printJSON(out)
	}
	var rows [][]string
	heldBack := false
	for _, x := range r.Results {
		if reason := x.Reason(); reason != "" {
			a.say("%s: %s", x.Name, reason)
			heldBack = heldBack || x.Action == secretsync.ActionHeldBack
		}
		if x.Err != nil {
			a.errln(a.paint(red, "failed:"), " ", x.Name, ": ", terminal.Fold(x.Err.Error()))
		}
		rows = append(rows, []string{x.Name.String(), string(x.Action), versions(x.Step), verdict(x, !r.Begun)})
	}
	a.sayWithheld(f, r.Plan)
	if heldBack {
		a.say("Store a value that works with leger secrets set, or try it again: leger secrets sync --restart --retry")
	}
	if len(rows) == 0 && r.Plan.NotGiven > 0 {
		a.say("This machine is given no secret of %s at %s, and has none of Leger's.", f.Email, f.Server)
		return nil
	}
	if len(rows) == 0 {
		a.say("%s has no secrets at %s, and this machine has none of Leger's.", f.Email, f.Server)
		return nil
	}
	if syncErr == nil && r.Plan.Empty() && !dryRun && len(out.Restarted) == 0 {
		if n := restored(r.Results); n > 0 {
			a.say("Nothing new on the server; restored in Podman: %s.", plural(n, "secret"))
		} else {
			a.say("Nothing to do: %s in place.", plural(len(rows), "secret"))
		}
	}
	return a.table([]string{"NAME", "CHANGE", "VERSION", "PODMAN"}, rows)
}

// restored counts the secrets that had not changed and that Podman had lost or held
// at another version all the same.
func restored(results []secretsync.Result) int {
	n := 0
	for _, x := range results {
		if x.Action == secretsync.ActionUnchanged && x.State != "" && x.State != string(localvault.ActionUnchanged) {
			n++
		}
	}
	return n
}

func versions(s secretsync.Step) string {
	switch {
	case s.Action == secretsync.ActionHeldBack:
		return fmt.Sprintf("%d, not %d", s.From, s.To)
	case s.Action == secretsync.ActionUnchanged || s.From == s.To:
		return fmt.Sprint(s.To)
	case s.Action == secretsync.ActionRemoved:
		return fmt.Sprintf("%d -> none", s.From)
	case s.From == 0:
		return fmt.Sprint(s.To)
	default:
		return fmt.Sprintf("%d -> %d", s.From, s.To)
	}
}

func verdict(x secretsync.Result, nothingDone bool) string {
	switch {
	case x.State == string(localvault.ActionUnchanged) && x.Action != secretsync.ActionUnchanged:
		return "in place" // legerd, which watches its store, was faster than our question
	case x.Err != nil && x.State == "":
		return "failed"
	case x.State != "":
		return x.State
	case nothingDone:
		return "not asked"
	case x.Action == secretsync.ActionRemoved && x.Done:
		return "removed"
	default:
		return "not reached"
	}
}

func syncReportJSON(f signin.SignIn, r secretsync.Report, dryRun bool, syncErr error) syncJSON {
	out := syncJSON{
		Server: f.Server, DryRun: dryRun, NotModified: r.NotModified,
		Secrets: []syncSecretJSON{}, Withheld: r.Plan.Withheld, NotGiven: r.Plan.NotGiven, Error: failureOf(syncErr),
	}
	if p := r.Plan; p.Doubt != "" {
		out.Consent = &consentJSON{Reason: p.Doubt, Message: p.Why(), Lost: []lossJSON{}}
		for _, l := range p.Lost {
			out.Consent.Lost = append(out.Consent.Lost, lossJSON{l.Name.String(), l.Version, l.Replaced})
		}
	}
	for _, x := range r.Results {
		out.Secrets = append(out.Secrets, syncSecretJSON{
			Name: x.Name.String(), Action: x.Action, FromVersion: x.From, ToVersion: x.To, Reason: x.Reason(),
			Podman: x.State, Done: x.Done, Error: failureOf(x.Err),
		})
	}
	return out
}
