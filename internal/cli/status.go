package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/report"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/terminal"
)

func (a *app) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "One screen: who you are, the server, legerd, secrets, deployments",
		Example: "  leger status\n  leger status --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context()) },
	}
}

// statusJSON is leger status in --json. A part that could not be looked at has an
// error and nothing else.
type statusJSON struct {
	SignIn *authJSON  `json:"sign_in,omitempty"`
	Server partJSON   `json:"server"`
	Legerd legerdJSON `json:"legerd"`
	// Deployments is what is installed on this machine.
	Deployments []deploymentJSON `json:"deployments"`
	Errors      []partError      `json:"errors,omitempty"`
}

type partJSON struct {
	Address   string `json:"address"`
	Reachable bool   `json:"reachable"`
	Version   string `json:"version,omitempty"`
}

type legerdJSON struct {
	Running       bool               `json:"running"`
	Version       string             `json:"version,omitempty"`
	Secrets       int                `json:"secrets"`
	Podman        string             `json:"podman,omitempty"`
	LastReconcile *localvault.Report `json:"last_reconcile,omitempty"`
}

type partError struct {
	Part string `json:"part"`
	failureJSON
}

// status shows what is known and goes on where a part does not answer: it fails
// only when it was interrupted.
func (a *app) status(ctx context.Context) error {
	s := statusJSON{Deployments: []deploymentJSON{}}
	note := func(part string, err error) {
		if err != nil {
			s.Errors = append(s.Errors, partError{part, *failureOf(err)})
		}
	}
	note("sign_in", a.lookAtSignIn(&s))
	note("server", a.lookAtServer(ctx, &s))
	note("legerd", a.lookAtLegerd(ctx, &s))
	note("deployments", a.lookAtDeployments(ctx, &s))
	if ctx.Err() != nil {
		return leger.Errorf(leger.CodeInterrupted, "interrupted")
	}
	if a.flags.json {
		return a.printJSON(s)
	}
	return a.printStatus(s)
}

func (a *app) lookAtSignIn(s *statusJSON) error {
	f, _, err := a.signedIn()
	if err != nil {
		return err
	}
	j := signInJSON(f)
	s.SignIn = &j
	return nil
}

func (a *app) lookAtServer(ctx context.Context, s *statusJSON) error {
	server, err := a.value(settings.Server)
	if err != nil {
		return err
	}
	s.Server.Address = server
	c, err := a.client(server, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	h, err := c.Health(ctx)
	if err != nil {
		return err
	}
	s.Server.Reachable, s.Server.Version = true, h.Version
	if s.SignIn == nil {
		return nil
	}
	_, signed, err := a.signedIn()
	if err != nil {
		return err
	}
	_, err = signed.User(ctx)
	s.SignIn.Confirmed = err == nil
	return err
}

func (a *app) lookAtLegerd(ctx context.Context, s *statusJSON) error {
	c, err := a.legerd()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := c.Status(ctx)
	if err != nil {
		return localProblem(err)
	}
	s.Legerd = legerdJSON{
		Running: true, Version: got.Version, Secrets: got.Secrets,
		Podman: got.Podman.Version, LastReconcile: got.Last,
	}
	return got.Podman.Error.Err()
}

func (a *app) lookAtDeployments(ctx context.Context, s *statusJSON) error {
	m, err := a.openMachine()
	if err != nil {
		return err
	}
	defer m.close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := m.engine.List(ctx)
	var secrets report.Held
	if len(all) > 0 {
		secrets = a.podmanHas(ctx, m)
	}
	for _, d := range all {
		j, wrong := jsonOf(m, d)
		j.Stale = append(j.Stale, secrets.Stale(d)...)
		j.Gone = append(j.Gone, secrets.Gone(d)...)
		s.Deployments, err = append(s.Deployments, j), errors.Join(err, wrong)
	}
	return localProblem(err)
}

func (a *app) printStatus(s statusJSON) error {
	signIn := "not signed in"
	if s.SignIn != nil {
		signIn = s.SignIn.Email + ", by this machine's own key"
		if s.SignIn.MachineID == "" {
			signIn = fmt.Sprintf("%s until %s", s.SignIn.Email, s.SignIn.ExpiresAt.Local().Format("2 January 2006"))
		}
	}
	server := s.Server.Address + ", not reachable"
	if s.Server.Reachable {
		server = s.Server.Address + ", version " + s.Server.Version
	}
	daemon := "not running"
	if s.Legerd.Running {
		daemon = "version " + s.Legerd.Version
	}
	held := ""
	if s.Legerd.Running {
		held = plural(s.Legerd.Secrets, "secret") + " on this machine"
	}
	if last := s.Legerd.LastReconcile; last != nil {
		held += ", brought to Podman " + a.when(last.At)
	}
	shown := []string{"signed in", signIn, "server", server, "legerd", daemon, "Podman", s.Legerd.Podman, "secrets", held}
	for _, d := range s.Deployments {
		shown = append(shown, "deployed", deployedLine(d))
	}
	if err := a.print(lines(shown...)); err != nil {
		return err
	}
	for _, d := range s.Deployments {
		a.warnNotAtBoot(d)
		a.warnGone(d)
	}
	for _, e := range s.Errors {
		a.warn("%s", e.Message)
		if e.Hint != "" && !a.flags.quiet {
			a.errln("  hint: ", terminal.Fold(e.Hint))
		}
	}
	return nil
}

// deployedLine says in a line how a deployment is.
func deployedLine(d deploymentJSON) string {
	state := "not healthy: leger deploy status " + d.Release
	switch {
	case d.Damage != "":
		return d.Release + ", its record cannot be read: leger deploy status " + d.Release
	case d.Running:
		state = "being deployed at this moment"
	case d.Healthy:
		state = "healthy"
	}
	return fmt.Sprintf("%s, generation %d, %s", d.Release, d.Generation, state)
}
