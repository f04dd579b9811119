package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/systemd"
)

func (a *app) deployCmd() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List what is installed on this machine",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.deployList(cmd.Context()) },
	}
	status := &cobra.Command{
		Use: "status [NAME]", Short: "Show units and drift; ends with 7 if something is not healthy",
		Example: "  leger deploy status\n  leger deploy status my-app --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs("the name of a release")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.deployStatus(cmd.Context(), args) },
	}
	var opts deploy.RemoveOptions
	var yes bool
	remove := &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Stop a release's units and remove its files; volumes stay",
		Example: "  leger deploy remove my-app\n  leger deploy remove my-app --volumes --yes",
		Args:    exactArgs("the name of a release"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.deployRemove(cmd.Context(), args[0], opts, yes)
		},
	}
	remove.Flags().BoolVar(&opts.Volumes, "volumes", false, "remove its volumes too, with all that is in them")
	remove.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return group("deploy", "Install releases on this machine and look after them", a.installCmd(), list, status, remove)
}

// deploymentJSON is one deployment in --json.
type deploymentJSON struct {
	Release     string              `json:"release"`
	Generation  int                 `json:"generation"`
	Source      deploy.Source       `json:"source"`
	Healthy     bool                `json:"healthy"`
	Interrupted bool                `json:"interrupted"`
	Units       []unitJSON          `json:"units"`
	Drift       []deploy.FileChange `json:"drift"` // files that are not as they were installed
}

type unitJSON struct {
	Unit   string `json:"unit"`
	File   string `json:"file"`
	Run    bool   `json:"run"` // it is meant to be up
	Active string `json:"active"`
	Sub    string `json:"sub"`
}

func jsonOf(d deploy.Deployment) deploymentJSON {
	out := deploymentJSON{
		Release: d.Release, Generation: d.Generation.Number, Source: d.Generation.Source,
		Healthy: d.Healthy(), Interrupted: d.Interrupted, Units: []unitJSON{}, Drift: []deploy.FileChange{},
	}
	for _, u := range d.Units {
		out.Units = append(out.Units, unitJSON{u.Service, u.File, u.Run, u.State.ActiveState, u.State.SubState})
	}
	out.Drift = append(out.Drift, d.Drift...)
	return out
}

func (a *app) deployList(ctx context.Context) error {
	m, err := a.openMachine()
	if err != nil {
		return err
	}
	defer m.close()
	all, err := m.engine.List(ctx)
	if err != nil {
		return localProblem(err)
	}
	if a.flags.json {
		out := []deploymentJSON{}
		for _, d := range all {
			out = append(out, jsonOf(d))
		}
		return a.printJSON(map[string]any{"deployments": out})
	}
	if len(all) == 0 {
		a.say("Nothing is installed. leger deploy install --release NAME installs a release.")
		return nil
	}
	var rows [][]string
	for _, d := range all {
		rows = append(rows, []string{
			d.Release, fmt.Sprint(d.Generation.Number), short(d.Generation.Source.Commit), fmt.Sprint(len(d.Units)), condOf(d),
		})
	}
	return a.table([]string{"RELEASE", "GENERATION", "COMMIT", "UNITS", "STATE"}, rows)
}

// short is a commit as git shows it.
func short(commit string) string { return commit[:min(len(commit), 12)] }

func condOf(d deploy.Deployment) string {
	switch {
	case d.Interrupted:
		return "interrupted"
	case d.Healthy():
		return "healthy"
	case len(d.Drift) > 0:
		return "files changed"
	default:
		return "unhealthy"
	}
}

// deployStatus shows one deployment or all. What is not healthy is an error.
func (a *app) deployStatus(ctx context.Context, args []string) error {
	m, err := a.openMachine()
	if err != nil {
		return err
	}
	defer m.close()
	var all []deploy.Deployment
	if len(args) == 0 {
		all, err = m.engine.List(ctx)
	} else {
		var name leger.ReleaseName
		if name, err = leger.ParseReleaseName(args[0]); err != nil {
			return err
		}
		var d deploy.Deployment
		d, err = m.engine.Status(ctx, name)
		all = []deploy.Deployment{d}
	}
	if err != nil {
		return localProblem(err)
	}
	if err := a.printDeployments(all); err != nil {
		return err
	}
	for _, d := range all {
		if !d.Healthy() {
			return leger.Errorf(leger.CodeUnhealthy, "%s is %s", d.Release, condOf(d)).
				WithHint("leger deploy install --release %s mends it", d.Release)
		}
	}
	return nil
}

func (a *app) printDeployments(all []deploy.Deployment) error {
	if a.flags.json {
		out := []deploymentJSON{}
		for _, d := range all {
			out = append(out, jsonOf(d))
		}
		return a.printJSON(map[string]any{"deployments": out})
	}
	var rows [][]string
	for _, d := range all {
		for _, u := range d.Units {
			rows = append(rows, []string{d.Release, u.Service, unitState(u.State), u.File})
		}
		for _, f := range d.Drift {
			what := "was changed since it was installed"
			if f.Action == deploy.Drop {
				what = "is not there any more"
			}
			a.warn("%s: %s %s", d.Release, f.Path, what)
		}
	}
	if len(rows) == 0 {
		a.say("Nothing is installed.")
		return nil
	}
	return a.table([]string{"RELEASE", "UNIT", "STATE", "FILE"}, rows)
}

func unitState(s leger.UnitState) string {
	switch {
	case s.LoadState == "not-found":
		return "not there"
	case s.SubState == "" || s.SubState == s.ActiveState:
		return s.ActiveState
	default:
		return s.ActiveState + " (" + s.SubState + ")"
	}
}

func (a *app) deployRemove(ctx context.Context, text string, opts deploy.RemoveOptions, yes bool) error {
	name, err := leger.ParseReleaseName(text)
	if err != nil {
		return err
	}
	m, err := a.openMachine()
	if err != nil {
		return err
	}
	defer m.close()
	if _, err := m.engine.Status(ctx, name); err != nil {
		return localProblem(err)
	}
	if !yes {
		question := fmt.Sprintf("Stop and remove %s from this machine?", name)
		if opts.Volumes {
			question = fmt.Sprintf("Stop and remove %s and its volumes, with all that is in them?", name)
		}
		if err := a.mustConfirm(ctx, question); err != nil {
			return err
		}
	}
	done, err := m.engine.Remove(ctx, name, opts, a.progress)
	if err != nil {
		return localProblem(err)
	}
	a.say("%s is removed: %s, %s.", name, plural(len(done.Units), "unit"), plural(len(done.Files), "file"))
	for _, v := range done.Volumes {
		a.say("The volume %s is removed.", v)
	}
	for _, v := range done.KeptVolumes {
		a.say("The volume %s stays, with what is in it: podman volume rm %s", v, v)
	}
	for _, n := range done.KeptNetworks {
		a.say("The network %s stays: podman network rm %s", n, n)
	}
	reportErr := a.reportDeployments(ctx, m)
	if a.flags.json {
		return a.printJSON(removedJSON{
			Release: done.FormerRelease, Units: list(done.Units), Files: list(done.Files), Volumes: list(done.Volumes),
			KeptVolumes: list(done.KeptVolumes), KeptNetworks: list(done.KeptNetworks), ReportError: failureOf(reportErr),
		})
	}
	return nil
}

// removedJSON is deploy remove in --json.
type removedJSON struct {
	Release      string   `json:"release"`
	Units        []string `json:"units"`
	Files        []string `json:"files"`
	Volumes      []string `json:"volumes"`
	KeptVolumes  []string `json:"kept_volumes"`
	KeptNetworks []string `json:"kept_networks"`
	// ReportError is why the server was not told that the release is gone.
	ReportError *failureJSON `json:"report_error,omitempty"`
}

// list is never null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// progress tells how far a deployment is, a line for each thing.
func (a *app) progress(e deploy.Event) {
	switch e.Step {
	case deploy.StepRecord:
		a.detail("recording the generation")
	case deploy.StepStop:
		a.say("stopping %s", e.Unit)
	case deploy.StepFiles:
		a.say("exchanging the files")
	case deploy.StepReload:
		a.detail("systemd reads its units anew")
	case deploy.StepStart:
		a.say("starting %s", e.Unit)
	case deploy.StepWait:
		a.say("  %s is %s", e.Unit, unitState(e.State))
	case deploy.StepBack:
		if e.Unit == "" {
			a.say("it failed: putting back what was there before")
		} else {
			a.detail("stopping %s", e.Unit)
		}
	}
}

// explainFailure shows what the journal says of a unit that did not come up.
func (a *app) explainFailure(err error) {
	f, ok := errors.AsType[*deploy.UnitFailure](err)
	if !ok || len(f.Journal) == 0 {
		return
	}
	a.errln(a.paint(red, "journal of "+f.State.Name+":"))
	for _, line := range f.Journal {
		a.errln("  " + clean(line))
	}
}

// warnLinger tells of services that would stop at logout.
func (a *app) warnLinger() {
	if user := a.env.get("USER"); user != "" && !systemd.Lingering(user) {
		a.warn("your services stop when you log out; to keep them: loginctl enable-linger")
	}
}
