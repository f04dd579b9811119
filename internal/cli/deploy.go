package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/report"
	"leger.run/leger/internal/systemd"
	"leger.run/leger/internal/terminal"
)

func (a *app) deployCmd() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List what is installed on this machine",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.deployList(cmd.Context()) },
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
	remove.Flags().BoolVar(&opts.Volumes, "volumes", false, "remove its volumes too, with all that is in them, but none that another release may need")
	remove.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return group("deploy", "Install releases on this machine and look after them", a.installCmd(), a.updateCmd(), a.planCmd(), list, a.deployStatusCmd(), a.rollbackCmd(), remove, a.logsCmd(), a.autoCmd())
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
			j, err := jsonOf(m, d)
			if err != nil {
				return err
			}
			out = append(out, j)
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
			d.Release, fmt.Sprint(d.Generation.Number), deploy.ShortCommit(d.Generation.Source.Commit), fmt.Sprint(len(d.Units)), condOf(d),
		})
	}
	return a.table([]string{"RELEASE", "GENERATION", "COMMIT", "UNITS", "STATE"}, rows)
}

// condOf says in a word or two how a deployment is.
func condOf(d deploy.Deployment) string {
	switch {
	case d.Damage != nil:
		return "damaged"
	case d.Running:
		return "being deployed"
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
	// A damaged record does not keep a release from being removed.
	if d, err := m.engine.Status(ctx, name); err != nil && d.Damage == nil {
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
	return a.removeRelease(ctx, m, name, opts)
}

// removeRelease removes and says what stays.
func (a *app) removeRelease(ctx context.Context, m *machine, name leger.ReleaseName, opts deploy.RemoveOptions) error {
	done, err := m.engine.Remove(ctx, name, opts, a.progress)
	if err != nil {
		_ = a.reportDeployments(ctx, m, report.Seen{}) // it has warned, and the failure to remove is graver
		return localProblem(err)
	}
	a.say("%s is removed: %s, %s.", name, plural(len(done.Units), "unit"), plural(len(done.Files), "file"))
	for _, v := range done.Volumes {
		a.say("The volume %s is removed.", v)
	}
	if done.Damage != nil {
		a.warn("the record of %s was damaged (%v): what is not listed here may be left, see podman ps and leger service list", name, done.Damage)
	}
	for _, v := range done.SharedVolumes {
		if v.Doubt != "" {
			a.say("The volume %s stays: the release %s may use it, too: %s.", v.Volume, v.Release, v.Doubt)
			continue
		}
		a.say("The volume %s stays: the release %s uses it, too.", v.Volume, v.Release)
	}
	for _, v := range done.KeptVolumes {
		if slices.ContainsFunc(done.SharedVolumes, func(k deploy.KeptVolume) bool { return k.Volume == v }) {
			continue
		}
		a.say("The volume %s stays, with what is in it: podman volume rm %s", v, v)
	}
	for _, d := range done.KeptData {
		a.say("What its containers wrote stays in %s: podman unshare rm -r %s", d, d)
	}
	for _, n := range done.KeptNetworks {
		a.say("The network %s stays: podman network rm %s", n, n)
	}
	if err := a.dropTimer(ctx, m); err != nil {
		return err
	}
	reportErr := a.reportDeployments(ctx, m, report.Seen{})
	if a.flags.json {
		return a.printJSON(removedJSON{
			Release: done.FormerRelease, Units: list(done.Units), Files: list(done.Files), Volumes: list(done.Volumes),
			KeptVolumes: list(done.KeptVolumes), SharedVolumes: done.SharedVolumes, KeptData: list(done.KeptData), KeptNetworks: list(done.KeptNetworks), ReportError: failureOf(reportErr),
		})
	}
	return nil
}

// removedJSON is deploy remove in --json.
type removedJSON struct {
	Release     string   `json:"release"`
	Units       []string `json:"units"`
	Files       []string `json:"files"`
	Volumes     []string `json:"volumes"`
	KeptVolumes []string `json:"kept_volumes"`
	// SharedVolumes are those of KeptVolumes that other releases name.
	SharedVolumes []deploy.KeptVolume `json:"shared_volumes,omitempty"`
	KeptData      []string            `json:"kept_data"` // directories with what containers have written
	KeptNetworks  []string            `json:"kept_networks"`
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
		if e.Note != "" {
			a.warn("%s: %s", e.Unit, e.Note)
			return
		}
		a.say("starting %s", e.Unit)
	case deploy.StepWait:
		if e.Note != "" {
			a.warn("%s: %s", e.Unit, e.Note)
			return
		}
		a.say("  %s is %s", e.Unit, report.StateWords(e.State))
	case deploy.StepBack:
		if e.Unit == "" {
			a.say("it failed: putting back what was there before")
		} else {
			a.detail("stopping %s", e.Unit)
		}
	}
}

// explainFailure shows what a unit that did not come up has said, without the last
// lines, which the error carries.
func (a *app) explainFailure(err error) {
	f, ok := errors.AsType[*deploy.UnitFailure](err)
	if !ok || len(f.Earlier()) == 0 {
		return
	}
	a.errln(a.paint(red, f.State.Name+" said:"))
	for _, line := range f.Earlier() {
		a.errln("  ", terminal.Fold(line))
	}
}

// warnLinger tells of services that would stop at logout.
func (a *app) warnLinger() {
	if user := a.env.get("USER"); user != "" && !systemd.Lingering(user) {
		a.warn("your services stop when you log out; to keep them: loginctl enable-linger")
	}
}
