package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

func (a *app) serviceCmd() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the units that Leger has installed",
		Example: "  leger service list --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.serviceList(cmd.Context()) },
	}
	subs := []*cobra.Command{list}
	for _, v := range []struct {
		name, short string
		do          func(context.Context, *machine, deploy.Deployment, deploy.UnitStatus) error
	}{
		{"status", "Show a unit; ends with 7 if it should be up and is not", a.serviceStatus},
		{"start", "Start a unit and wait until it is up and healthy", func(ctx context.Context, m *machine, d deploy.Deployment, u deploy.UnitStatus) error {
			return a.serviceDone(u, "is up", m.engine.StartUnit(ctx, d, u, a.progress))
		}},
		{"stop", "Stop a unit", func(ctx context.Context, m *machine, _ deploy.Deployment, u deploy.UnitStatus) error {
			return a.serviceDone(u, "is stopped", m.engine.StopUnit(ctx, u, a.progress))
		}},
		{"restart", "Restart a unit and wait until it is up and healthy", func(ctx context.Context, m *machine, d deploy.Deployment, u deploy.UnitStatus) error {
			return a.serviceDone(u, "is up again", m.engine.RestartUnits(ctx, d, []string{u.Service}, a.progress))
		}},
	} {
		subs = append(subs, &cobra.Command{
			Use: v.name + " NAME", Short: v.short,
			Example: "  leger service " + v.name + " web\n  leger service " + v.name + " web.service",
			Args:    exactArgs("the name of a unit"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withMachine(func(m *machine) error {
					d, u, err := m.engine.Find(cmd.Context(), args[0])
					if err != nil {
						return localProblem(err)
					}
					return v.do(cmd.Context(), m, d, u)
				})
			},
		})
	}
	return group("service", "Look after single units of what is installed", append(subs, a.serviceLogsCmd())...)
}

func (a *app) serviceLogsCmd() *cobra.Command {
	var l logs
	c := &cobra.Command{
		Use: "logs NAME", Short: "Show what a unit wrote to the journal",
		Example: "  leger service logs web -f",
		Args:    exactArgs("the name of a unit"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withMachine(func(m *machine) error {
				_, u, err := m.engine.Find(cmd.Context(), args[0])
				if err != nil {
					return localProblem(err)
				}
				return a.showLogs(cmd.Context(), []deploy.UnitStatus{u}, l)
			})
		},
	}
	l.flags(c.Flags())
	return c
}

// serviceJSON is one unit in --json.
type serviceJSON struct {
	Release string `json:"release"`
	unitJSON
	Kind string `json:"kind"`
}

func serviceOf(d deploy.Deployment, u deploy.UnitStatus) serviceJSON {
	return serviceJSON{Release: d.Release, Kind: string(u.Kind), unitJSON: unitOf(u)}
}

func (a *app) serviceList(ctx context.Context) error {
	return a.withMachine(func(m *machine) error {
		all, err := m.engine.List(ctx)
		if err != nil {
			return localProblem(err)
		}
		out, rows := []serviceJSON{}, [][]string{}
		for _, d := range all {
			for _, u := range d.Units {
				out = append(out, serviceOf(d, u))
				rows = append(rows, []string{u.Service, d.Release, unitState(u), string(u.Kind)})
			}
		}
		switch {
		case a.flags.json:
			return a.printJSON(map[string]any{"services": out})
		case len(rows) == 0:
			a.say("Nothing is installed. leger deploy install --release NAME installs a release.")
			return nil
		}
		return a.table([]string{"UNIT", "RELEASE", "STATE", "KIND"}, rows)
	})
}

func (a *app) serviceStatus(_ context.Context, _ *machine, d deploy.Deployment, u deploy.UnitStatus) error {
	var err error
	if a.flags.json {
		err = a.printJSON(serviceOf(d, u))
	} else {
		rows := [][]string{{"release", d.Release}, {"state", unitState(u)}, {"file", u.File}}
		if !u.State.Since.IsZero() {
			rows = append(rows, []string{"since", u.State.Since.Local().Format("2006-01-02 15:04:05")})
		}
		if u.State.Result != "" && u.State.Result != "success" {
			rows = append(rows, []string{"result", fmt.Sprintf("%s, exit code %d", u.State.Result, u.State.ExecMainStatus)})
		}
		err = a.table([]string{"unit", u.Service}, rows)
	}
	if err != nil || !u.Run || u.Up() {
		return err
	}
	return leger.Errorf(leger.CodeUnhealthy, "%s is %s", u.Service, unitState(u)).
		WithHint("see what it says: leger service logs %s", u.Service)
}

// serviceDone tells the outcome of start, stop or restart.
func (a *app) serviceDone(u deploy.UnitStatus, what string, err error) error {
	if err != nil {
		a.explainFailure(err)
		return localProblem(err)
	}
	a.say("%s %s.", u.Service, what)
	if a.flags.json {
		return a.printJSON(map[string]string{"unit": u.Service})
	}
	return nil
}
