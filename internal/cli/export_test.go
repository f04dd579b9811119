package cli

import (
	"context"

	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/wire"
)

// MainOn is Main with another systemd.
func MainOn(ctx context.Context, e Env, units deploy.Units) int {
	a := newApp(e)
	a.openUnits = func() (deploy.Units, func(), error) { return units, func() {}, nil }
	return a.run(ctx)
}

// ExitCode, SetTOML and ConfigValues are for the tests of this package's rules.
var ExitCode = exitCode

// ReportOf is what the server is told of a deployment.
func ReportOf(d deploy.Deployment) wire.HostDeploymentReport { return reportOf(d, surroundings{}) }

// Around is what is known about a deployment besides what the engine tells: units
// with the secret of which they have an older value, the branch's newest commit.
type Around struct {
	Stale    map[string]string
	Gone     map[string]string
	Head     string
	Failures []deploy.Failure
}

// Findings is what the server is told to look at, and Bounded not more of it than
// that.
func Findings(d deploy.Deployment, around Around) []wire.HostFinding {
	s := surroundings{head: around.Head, failures: around.Failures}
	for unit, secret := range around.Stale {
		s.stale = append(s.stale, staleJSON{unit, secret})
	}
	for unit, secret := range around.Gone {
		s.gone = append(s.gone, staleJSON{unit, secret})
	}
	return findingsOf(d, s)
}

// Bounded cuts a list of findings.
var Bounded = bounded

// SetTOML sets a key, by name, in the text of a settings file.
func SetTOML(text []byte, name, value string) ([]byte, error) {
	k, ok := keyNamed(name)
	if !ok {
		return nil, unknownKey(name)
	}
	return setTOML(text, k, value)
}

// ConfigValues reads a settings file's text.
func ConfigValues(text []byte) (map[string]string, error) {
	c, err := parseConfig(text)
	return c.values, err
}

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
