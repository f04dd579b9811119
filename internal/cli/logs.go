package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/run"
)

// logs is what deploy logs and service logs were asked for.
type logs struct {
	follow bool
	since  string
	lines  int
}

func (l *logs) flags(f *pflag.FlagSet) {
	f.BoolVarP(&l.follow, "follow", "f", false, "go on with what is written from now on")
	f.StringVar(&l.since, "since", "", `from this time on, as journalctl takes it: "1 hour ago", "2026-01-31 12:00"`)
	f.IntVarP(&l.lines, "lines", "n", 0, "the newest lines alone (default: all with --since, else 100)")
}

func (a *app) logsCmd() *cobra.Command {
	var l logs
	c := &cobra.Command{
		Use: "logs NAME", Short: "Show what the units of a release wrote to the journal",
		Example: "  leger deploy logs my-app\n  leger deploy logs my-app -f\n  leger deploy logs my-app --since '10 min ago' --json",
		Args:    exactArgs("the name of a release"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := leger.ParseReleaseName(args[0])
			if err != nil {
				return err
			}
			return a.withMachine(func(m *machine) error {
				d, err := m.engine.Status(cmd.Context(), name)
				if err != nil {
					return localProblem(err)
				}
				return a.showLogs(cmd.Context(), d.Units, l)
			})
		},
	}
	l.flags(c.Flags())
	return c
}

// withMachine opens the machine for one thing.
func (a *app) withMachine(do func(*machine) error) error {
	m, err := a.openMachine()
	if err != nil {
		return err
	}
	defer m.close()
	return do(m)
}

// showLogs runs journalctl over the units.
func (a *app) showLogs(ctx context.Context, units []deploy.UnitStatus, l logs) error {
	if l.lines == 0 && l.since == "" {
		l.lines = 100
	}
	args := []string{"--user", "--no-pager", "--quiet"}
	if l.lines > 0 {
		args = append(args, "--lines="+strconv.Itoa(l.lines))
	}
	if l.since != "" {
		args = append(args, "--since="+l.since)
	}
	if l.follow {
		args = append(args, "--follow")
	}
	if a.flags.json {
		args = append(args, "--output=json")
	}
	for _, u := range units {
		args = append(args, "--unit="+u.Service)
	}
	res, err := a.runner().Run(ctx, run.Command{
		Path: "journalctl", Args: args, Env: run.MinimalEnv(a.env.LookupEnv), Stdout: a.out, MaxOutput: -1,
	})
	switch {
	case ctx.Err() != nil && l.follow:
		return nil // Ctrl-C is how one leaves it
	case a.out.Err() != nil:
		return wrote(a.out.Err())
	case err != nil:
		return err
	case res.Code != 0:
		return leger.Errorf(leger.CodeInvalid, "journalctl ended with %d: %s", res.Code, firstLine(res.Stderr)).
			WithHint("check --since: it takes what journalctl takes")
	default:
		return nil
	}
}
