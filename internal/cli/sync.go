package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/secretsync"
)

func (a *app) syncCmd() *cobra.Command {
	var in syncFlags
	sync := &cobra.Command{
		Use: "sync", Short: "Bring your secrets to this machine's Podman",
		Long: `Bring your secrets to this machine: new and changed ones are fetched and become
Podman secrets, deleted ones are removed. Cut anywhere, every secret is at its old
or its new value, and the next sync finishes the job.

With --restart the units that run with an older value of a secret are restarted,
and no others. If one does not come up with the new value, the former one is put
back, and the new version is held back: syncs leave it out until there is a later
one, or with --retry.`,
		Example: "  leger secrets sync\n  leger secrets sync --restart\n  leger secrets sync --dry-run\n  leger secrets sync --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.sync(cmd.Context(), in) },
	}
	sync.Flags().BoolVarP(&in.dryRun, "dry-run", "n", false, "show what would be done, change nothing")
	sync.Flags().BoolVar(&in.restart, "restart", false, "restart the units that run with an older value, and wait until they are healthy")
	sync.Flags().BoolVar(&in.retry, "retry", false, "bring versions again that were held back because a unit did not come up with them")
	return sync
}

type syncFlags struct{ dryRun, restart, retry bool }

// syncJSON is secrets sync in --json.
type syncJSON struct {
	Server      string           `json:"server"`
	DryRun      bool             `json:"dry_run"`
	NotModified bool             `json:"not_modified"` // the server's side had not changed
	Secrets     []syncSecretJSON `json:"secrets"`
	Error       *failureJSON     `json:"error,omitempty"`        // why the sync as a whole did not end well
	ReportError *failureJSON     `json:"report_error,omitempty"` // why the server was not told what this machine holds
	// With --restart: units that were restarted and are healthy, secrets that have
	// their former value again, and why.
	Restarted    []string     `json:"restarted,omitempty"`
	WentBack     []string     `json:"went_back,omitempty"`
	RestartError *failureJSON `json:"restart_error,omitempty"`
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
	s, err := a.syncer(f, c, in.retry)
	if err != nil {
		return err
	}
	if in.dryRun {
		plan, err := s.Plan(ctx)
		if err != nil {
			return err
		}
		report := secretsync.Report{Plan: plan}
		for _, st := range plan.Steps {
			report.Results = append(report.Results, secretsync.Result{Step: st})
		}
		return a.printSync(f, syncReportJSON(f, report, true, nil), report, nil)
	}
	report, syncErr := s.Sync(ctx)
	if len(report.Results) == 0 && syncErr != nil {
		return syncErr
	}
	var r restarts
	var restartErr error
	if in.restart && ctx.Err() == nil {
		r, restartErr = a.restartDependents(ctx, f)
		report.WentBack(r.WentBack)
	}
	out := syncReportJSON(f, report, false, syncErr)
	out.Restarted, out.RestartError = r.Restarted, failureOf(restartErr)
	for _, name := range sortedNames(r.WentBack) {
		out.WentBack = append(out.WentBack, name.String())
	}
	out.ReportError = failureOf(a.reportSecrets(ctx, f, c, report))
	if err := a.printSync(f, out, report, syncErr); err != nil && syncErr == nil {
		return err
	}
	if len(out.Restarted) > 0 {
		a.say("Restarted: %s.", strings.Join(out.Restarted, ", "))
	}
	return errors.Join(restartErr, syncErr)
}

// syncer wires a sync of the signed-in user with legerd, started if need be.
func (a *app) syncer(f authFile, c *client.Client, retry bool) (*secretsync.Syncer, error) {
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
		HeldBack: secretsync.NewHeldBack(dir, f.Server, f.UserUUID), Retry: retry,
		Planned: func(p secretsync.Plan) {
			if n := p.Changes(); n > 0 {
				a.say("%s to bring to this machine.", plural(n, "change"))
			}
		},
		Done: func(st secretsync.Step) { a.detail("%s %s", st.Name, st.Action) },
	}), nil
}

func (a *app) printSync(f authFile, out syncJSON, r secretsync.Report, syncErr error) error {
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
			a.errln(a.paint(red, "failed:") + " " + clean(fmt.Sprintf("%s: %v", x.Name, x.Err)))
		}
		rows = append(rows, []string{x.Name.String(), string(x.Action), versions(x.Step), verdict(x, dryRun)})
	}
	if heldBack {
		a.say("Store a value that works with leger secrets set, or try it again: leger secrets sync --restart --retry")
	}
	if len(rows) == 0 {
		a.say("There are no secrets, neither on %s nor here.", f.Server)
		return nil
	}
	if syncErr == nil && r.Plan.Empty() && !dryRun {
		if n := mended(r.Results); n > 0 {
			a.say("Nothing new on the server; mended in Podman: %s.", plural(n, "secret"))
		} else {
			a.say("Nothing to do: %s in place.", plural(len(rows), "secret"))
		}
	}
	return a.table([]string{"NAME", "CHANGE", "VERSION", "PODMAN"}, rows)
}

// mended counts the secrets that had not changed and that Podman had lost or held
// at another version all the same.
func mended(results []secretsync.Result) int {
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

func verdict(x secretsync.Result, dryRun bool) string {
	switch {
	case x.State == string(localvault.ActionUnchanged) && x.Action != secretsync.ActionUnchanged:
		return "in place" // legerd, which watches its store, was faster than our question
	case x.Err != nil && x.State == "":
		return "failed"
	case x.State != "":
		return x.State
	case dryRun:
		return "not asked"
	case x.Action == secretsync.ActionRemoved && x.Done:
		return "removed"
	default:
		return "not reached"
	}
}

func syncReportJSON(f authFile, r secretsync.Report, dryRun bool, syncErr error) syncJSON {
	out := syncJSON{
		Server: f.Server, DryRun: dryRun, NotModified: r.NotModified,
		Secrets: []syncSecretJSON{}, Error: failureOf(syncErr),
	}
	for _, x := range r.Results {
		out.Secrets = append(out.Secrets, syncSecretJSON{
			Name: x.Name.String(), Action: x.Action, FromVersion: x.From, ToVersion: x.To, Reason: x.Reason(),
			Podman: x.State, Done: x.Done, Error: failureOf(x.Err),
		})
	}
	return out
}
