package cli

import (
	"context"
	"errors"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/report"
	"leger.run/leger/internal/secretsync"
	"leger.run/leger/internal/signin"
)

// reporter tells the server of a sign-in how this machine is.
func (a *app) reporter(in signin.SignIn, c *client.Client) (*report.Reporter, error) {
	dir, err := a.env.stateDir()
	if err != nil {
		return nil, err
	}
	cfg := report.Config{
		StateDir: dir, Now: a.env.Now, Version: a.env.Version, Hostname: a.env.Hostname, MachineID: a.env.MachineID, Detail: a.detail,
	}
	if legerd, err := a.legerd(); err == nil {
		cfg.Daemon = legerd
	}
	return report.New(cfg, in, c), nil
}

// reportSecrets tells the server what this machine holds after a sync. A failure is
// warned of and given back: it is never the command's.
func (a *app) reportSecrets(ctx context.Context, in signin.SignIn, c *client.Client, synced secretsync.Report) error {
	r, err := a.reporter(in, c)
	if err != nil {
		return a.notReported(ctx, err)
	}
	return a.notReported(ctx, r.Secrets(ctx, synced))
}

// reportDeployments tells the server what is installed on this machine and how it
// is. Without a sign-in nobody is told, and that is no error; else as reportSecrets.
func (a *app) reportDeployments(ctx context.Context, m *machine, s report.Seen) error {
	in, c, err := a.signedIn()
	if errors.Is(err, leger.ErrInvalidToken) {
		a.detail("no server is told how this machine is: %v", err)
		return nil
	}
	if err != nil {
		return a.notReported(ctx, err)
	}
	r, err := a.reporter(in, c)
	if err != nil {
		return a.notReported(ctx, err)
	}
	held := func(ctx context.Context) report.Held { return a.podmanHas(ctx, m) }
	err = r.Deployments(ctx, m.engine, held, s)
	if !fromServer(err) {
		err = localProblem(err)
	}
	return a.notReported(ctx, err)
}

// notReported warns of a report that failed, unless the user stopped the command,
// and gives the error back.
func (a *app) notReported(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil {
		a.warn("the server was not told how this machine is: %v", err)
	}
	return err
}

// podmanHas lists Podman's secrets; nil: Podman does not say.
func (a *app) podmanHas(ctx context.Context, m *machine) report.Held {
	held, err := m.held(ctx)
	if err != nil {
		a.detail("whether units run with older secrets, or without them, is not known: %v", err)
		return nil
	}
	return held
}

// held lists Podman's secrets.
func (m *machine) held(ctx context.Context) (report.Held, error) {
	secrets, err := m.podman.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	held := report.Held{}
	for _, s := range secrets {
		held[s.Name] = s.UpdatedAt
	}
	return held, nil
}
