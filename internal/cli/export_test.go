package cli

import (
	"context"

	"leger.run/leger/internal/deploy"
)

// MainOn is Main with another systemd.
func MainOn(ctx context.Context, e Env, units deploy.Units) int {
	a := newApp(e)
	a.openUnits = func() (deploy.Units, func(), error) { return units, func() {}, nil }
	return a.run(ctx)
}

// ExitCode is for the tests of this package's rules.
var ExitCode = exitCode

// PlanText and RiskText are how a plan is shown.
var (
	PlanText = planText
	RiskText = riskText
)

// TryCommand tells whether args begin with the name of a command that does
// something, and why it would not take the rest of them. It runs nothing.
func TryCommand(args []string) (named bool, refused error) {
	cmd, rest, err := newApp(Env{}).root().Find(args)
	if err != nil || cmd.HasSubCommands() || !cmd.HasParent() {
		return false, err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return true, err
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return true, err
	}
	return true, cmd.ValidateArgs(cmd.Flags().Args())
}
