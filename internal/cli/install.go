package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/report"
	"leger.run/leger/internal/secretsync"
	"leger.run/leger/internal/terminal"
)

// install is what deploy install, update and plan were asked for.
type install struct {
	release, source, branch, path, commit string
	tokenSecret, allowedSigners           string
	// tokenOrigin is the origin that the token was given for; empty: the source's.
	tokenOrigin string
	yes, dryRun bool
	// retry tries again what has failed before; careful refuses it.
	retry, careful bool
	// planOnly: the plan is the answer.
	planOnly bool
	settle   time.Duration
	// unattended: nobody sits there, whatever the streams are.
	unattended bool
	// quietJSON: somebody else prints the outcome.
	quietJSON bool
}

func (in *install) sourceFlags(f *pflag.FlagSet) {
	f.StringVar(&in.source, "source", "", "a Git URL or a local directory to take instead of the release noted on the server")
	f.StringVar(&in.branch, "branch", "", "with --source: branch or tag")
	f.StringVar(&in.path, "path", "", "with --source: subdirectory with the quadlets")
	f.StringVar(&in.commit, "commit", "", "exactly this commit, all 40 digits of it")
	f.StringVar(&in.tokenSecret, "git-token-secret", "", "the secret with a token for a private repository on https")
	f.StringVar(&in.allowedSigners, "allowed-signers", "", "take only what is signed by a key in this file (ssh-keygen's allowed_signers), or one that your GnuPG trusts")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "git-branch", "git-path": // as releases create calls them
			name = strings.TrimPrefix(name, "git-")
		}
		return pflag.NormalizedName(name)
	})
}

func (in *install) applyFlags(f *pflag.FlagSet) {
	f.BoolVarP(&in.yes, "yes", "y", false, "do not ask, whatever the risks")
	f.BoolVarP(&in.dryRun, "dry-run", "n", false, "show the plan, change nothing")
	f.DurationVar(&in.settle, "settle", deploy.DefaultSettle, "how long each unit must stay up to count")
}

func (a *app) installCmd() *cobra.Command {
	var in install
	c := &cobra.Command{
		Use: "install --release NAME", Short: "Install a release, or bring it up to date",
		Long: `Install a release on this machine, or bring it up to date: fetch its files, check
them, see that their secrets are here, show the plan and its risks, ask, and start
what should run. If a unit does not come up, what was there before comes back. Run
again, it does nothing, or finishes what was interrupted.`,
		Example: `  leger deploy install --release my-app
  leger deploy install --release my-app --dry-run
  leger deploy install --release my-app --source ./quadlets --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.install(cmd.Context(), in) },
	}
	c.Flags().StringVar(&in.release, "release", "", "the release's name; needed")
	in.sourceFlags(c.Flags())
	in.applyFlags(c.Flags())
	return c
}

// installJSON is deploy install, update, rollback and plan in --json.
type installJSON struct {
	Plan      deploy.Plan `json:"plan"`
	DryRun    bool        `json:"dry_run"`
	Unchanged bool        `json:"unchanged"` // nothing was to do
	Started   []string    `json:"started"`
	// ReportError is why the server was not told what this machine runs.
	ReportError *failureJSON `json:"report_error,omitempty"`
}

func (a *app) install(ctx context.Context, in install) error {
	if in.release == "" {
		return usage("leger deploy install needs --release")
	}
	name, err := leger.ParseReleaseName(in.release)
	if err != nil {
		return err
	}
	return a.deployRelease(ctx, name, in)
}

// deployRelease fetches, plans, asks and applies.
func (a *app) deployRelease(ctx context.Context, name leger.ReleaseName, in install) error {
	if in.source == "" && (in.branch != "" || in.path != "") {
		return usage("--branch and --path go with --source; a release has its own")
	}
	m, err := a.openMachine(in.settle)
	if err != nil {
		return err
	}
	defer m.close()
	// systemd starts Podman at the first question, which takes a while: meanwhile the
	// repository is fetched.
	chosen := make(chan struct{})
	var notUsable error
	go func() {
		defer close(chosen)
		notUsable = m.choose(ctx)
	}()
	req, err := a.request(ctx, name, in, func() quadlet.Version {
		<-chosen
		return m.version
	})
	<-chosen
	if err != nil {
		return err
	}
	if notUsable != nil {
		return notUsable
	}
	req.RefuseFailed = in.careful && !in.retry && !in.unattended // that one is told more gently
	plan, err := a.prepare(ctx, m, req, in)
	if err != nil {
		return err
	}
	return a.carryOut(ctx, m, plan, in)
}

// carryOut asks, applies and tells.
func (a *app) carryOut(ctx context.Context, m *machine, plan deploy.Plan, in install) error {
	if in.unattended {
		if err := leaveToUser(plan); err != nil {
			return err
		}
	}
	if in.dryRun || in.planOnly || plan.Unchanged() {
		return a.nothingDone(ctx, m, plan, in)
	}
	a.warnLinger()
	plan, err := a.consent(ctx, plan, in)
	if err != nil {
		return err
	}
	done, err := m.engine.Apply(ctx, plan, a.progress)
	if err != nil {
		a.explainFailure(err)
		_ = a.reportOutcome(ctx, m, in) // it has warned, and the failure to install is graver
		return localProblem(err)
	}
	a.say("%s is installed: generation %d.", plan.Next.Release, done.Generation.Number)
	reportErr := a.reportOutcome(ctx, m, in)
	if a.flags.json && !in.quietJSON {
		return a.printJSON(installJSON{Plan: plan, Started: list(done.Started), ReportError: failureOf(reportErr)})
	}
	return nil
}

// reportOutcome tells the server. A run of deploy auto does so once, at its end.
func (a *app) reportOutcome(ctx context.Context, m *machine, in install) error {
	if in.unattended {
		return nil
	}
	return a.reportDeployments(ctx, m, report.Seen{})
}

// nothingDone tells the server all the same when the release is up to date: an
// earlier report may not have reached it.
func (a *app) nothingDone(ctx context.Context, m *machine, plan deploy.Plan, in install) error {
	looked := in.dryRun || in.planOnly
	switch {
	case plan.Unchanged() && plan.From > 0:
		a.say("Nothing to do: %s is up to date, generation %d.", plan.Next.Release, plan.From)
	case in.dryRun:
		a.say("Nothing was changed: --dry-run.")
	}
	var reportErr error
	if !looked {
		reportErr = a.reportOutcome(ctx, m, in)
	}
	if a.flags.json && !in.quietJSON {
		return a.printJSON(installJSON{
			Plan: plan, DryRun: looked, Unchanged: plan.Unchanged(), Started: []string{}, ReportError: failureOf(reportErr),
		})
	}
	return nil
}

// prepare makes the plan, brings secrets that it needs to the machine, and shows
// it. A plan that cannot be applied is an error here.
func (a *app) prepare(ctx context.Context, m *machine, req deploy.Request, in install) (deploy.Plan, error) {
	plan, err := m.engine.Prepare(ctx, req)
	if err != nil {
		return plan, localProblem(err)
	}
	if in.unattended {
		if err := leaveToUser(plan); err != nil { // before anything is brought here for it
			return plan, cmp.Or(a.showPlan(plan, in), err)
		}
	}
	if len(plan.Secrets) > 0 && !in.dryRun && !in.planOnly {
		synced, err := a.freshSecrets(ctx, plan, in)
		if err != nil {
			return plan, err
		}
		if synced {
			if plan, err = m.engine.Prepare(ctx, req); err != nil {
				return plan, localProblem(err)
			}
		}
	}
	if err := a.showPlan(plan, in); err != nil {
		return plan, err
	}
	err = a.refusal(plan, in)
	if err != nil && a.flags.json && !in.quietJSON { // the refusals are part of it
		err = cmp.Or(a.printJSON(installJSON{Plan: plan, DryRun: in.dryRun || in.planOnly, Started: []string{}}), err)
	}
	return plan, err
}

// freshSecrets syncs when a secret of the plan is missing here or has changed on
// the server. Without a sign-in what is here has to do. A sync that fails is told
// and not fatal: the plan says what is missing.
// One that would take values from this machine is refused: what is installed would
// run with secrets of another account, or without its own.
func (a *app) freshSecrets(ctx context.Context, plan deploy.Plan, in install) (synced bool, err error) {
	f, c, err := a.signedIn()
	if errors.Is(err, leger.ErrInvalidToken) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := a.syncer(f, c, syncOptions{})
	if err != nil {
		a.warn("the secrets are not brought up to date: %v", err)
		return false, nil
	}
	release, err := s.Hold(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	todo, err := s.Plan(ctx)
	if err == nil && todo.Doubt != secretsync.DoubtAccount && !wanted(plan, todo) {
		return false, nil
	}
	if refused := todo.Refusal(); err == nil && refused != nil {
		return false, syncFirst(refused, in)
	}
	if err == nil {
		a.say("bringing secrets to this machine")
		var report secretsync.Report
		if report, err = s.Sync(ctx); err == nil || len(report.Results) > 0 {
			_ = a.reportSecrets(ctx, f, c, report) // it has warned
		}
	}
	if errors.Is(err, leger.ErrInterrupted) {
		return true, err
	}
	if err != nil {
		a.warn("the secrets are not brought up to date: %v", err)
	}
	return true, nil
}

// syncFirst leaves a sync that needs consent to the user.
func syncFirst(refused error, in install) error {
	if in.unattended {
		return leger.Wrap(leger.CodeConflict, &waitsForUser{reason: refused.Error()}, "its secrets wait for you").
			WithHint("look: leger secrets sync --dry-run")
	}
	return refused
}

// wanted reports whether a sync would do something for the plan.
func wanted(plan deploy.Plan, todo secretsync.Plan) bool {
	missing := slices.ContainsFunc(plan.Refusals, func(r deploy.Refusal) bool { return r.Code == leger.CodeNotFound })
	return missing || slices.ContainsFunc(todo.Steps, func(s secretsync.Step) bool {
		return s.Changes() && slices.Contains(plan.Secrets, s.Name.String())
	})
}

// refusal is nil for a plan that can be applied. Otherwise every reason has been
// shown, and the error is the gravest with what to do.
// For a dry run a missing secret is no reason: installing would sync first.
func (a *app) refusal(plan deploy.Plan, in install) error {
	if len(plan.Refusals) == 0 {
		return nil
	}
	server := ""
	if f, _, err := a.signedIn(); err == nil {
		server = f.Server
	}
	for _, r := range plan.Refusals {
		if link := newSecretLink(server, r.Secret); link != "" {
			r.Hint = "create it at " + link + " or with leger secrets set " + r.Secret +
				"; if there is one, this machine may not be given it: leger secrets scope " + r.Secret
		}
		where := ""
		switch {
		case r.Line > 0:
			where = fmt.Sprintf("%s:%d: ", r.File, r.Line)
		case r.File != "":
			where = r.File + ": "
		}
		a.errln(a.paint(red, "error:"), " ", terminal.Fold(where+r.Text))
		if r.Hint != "" {
			a.errln("       ", terminal.Fold(r.Hint))
		}
	}
	first := plan.Refusals[0]
	if (in.dryRun || in.planOnly) && first.Code == leger.CodeNotFound {
		a.say("Installing syncs your secrets first; leger secrets sync --dry-run shows what that brings.")
		return nil
	}
	e := leger.Errorf(first.Code, "%s cannot be installed: %s; nothing was changed", plan.Next.Release, plural(len(plan.Refusals), "problem"))
	if first.Code == leger.CodeNotFound && server != "" {
		return e.WithHint("create what is missing, as said above, then run this again: it syncs first")
	}
	return e.WithHint("%s", first.Hint)
}

// newSecretLink leads to the page on which the secret of this name is made; empty
// for one that no server holds.
func newSecretLink(server, secret string) string {
	name, err := leger.ParseSecretName(secret)
	if err != nil || server == "" {
		return ""
	}
	return server + "/api-keys?new=" + name.String() // its characters stand for themselves in a query
}

// consent asks. Without anybody to ask, what is new and asks needs --yes.
func (a *app) consent(ctx context.Context, plan deploy.Plan, in install) (deploy.Plan, error) {
	asks := len(plan.Asks())
	switch {
	case in.yes:
		return plan.WithConsent(deploy.ConsentFlag), nil
	case !in.unattended && a.mayAsk():
		if err := a.mustConfirm(ctx, fmt.Sprintf("Install %s?", plan.Next.Release)); err != nil {
			return plan, err
		}
		return plan.WithConsent(deploy.ConsentAsked), nil
	case asks > 0:
		return plan, leger.Errorf(leger.CodeInvalid, "%s needs your consent to %s, shown above, and there is nobody to ask; nothing was changed", plan.Next.Release, plural(asks, "thing")).
			WithHint("read them, and if they are meant add --yes")
	default:
		return plan.WithConsent(deploy.ConsentStanding), nil
	}
}
