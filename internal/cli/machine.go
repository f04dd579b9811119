package cli

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/gitrepo"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/systemd"
)

// machine is the user's Podman and systemd, with what deploys onto them.
type machine struct {
	config   deploy.Config
	engine   *deploy.Engine
	podman   *podman.Client
	quadlets *podman.Quadlets
	// version is Podman's, once choose has asked for it; zero: not known.
	version quadlet.Version
	close   func()
}

// openMachine connects to systemd and wires the engine. What is installed is
// found whatever installed it; for something new choose says with what. Units have
// to stay up for settle, where it is given.
// ErrMissingPart without a user session.
func (a *app) openMachine(settle ...time.Duration) (*machine, error) {
	dir, err := a.env.stateDir()
	if err != nil {
		return nil, err
	}
	quadletDir, err := a.quadletDir()
	if err != nil {
		return nil, err
	}
	releaseData, err := a.releaseData()
	if err != nil {
		return nil, err
	}
	runner, err := a.podmanRunner()
	if err != nil {
		return nil, err
	}
	units, closeUnits, err := a.openUnits()
	if err != nil {
		return nil, localProblem(err)
	}
	env := run.MinimalEnv(a.env.LookupEnv)
	client := podman.New(podman.Config{RuntimeDir: a.env.get("XDG_RUNTIME_DIR"), Runner: runner, Env: env})
	quadlets := podman.NewQuadlets(podman.QuadletConfig{Runner: runner, Env: env, Dir: quadletDir})
	m := &machine{
		config: deploy.Config{
			StateDir: filepath.Join(dir, "deployments"), DataDir: releaseData, Units: units,
			Installers: []deploy.Installer{quadlets, deploy.NewDirectory(quadletDir, safefile.Disk{})},
			Secrets:    podmanSecrets{client}, Generator: quadlets, Volumes: quadlets, Podman: client,
			Verifier: systemd.Verifier{Runner: runner, Env: env},
			Sockets:  deploy.NewProcSockets("/proc"),
		},
		quadlets: quadlets, podman: client,
		close: func() {
			closeUnits()
			_ = client.Close()
		},
	}
	if len(settle) > 0 {
		m.config.Settle = settle[0]
	}
	m.engine = deploy.New(m.config)
	return m, nil
}

// choose fails with ErrMissingPart when Podman is absent or too old, and lets
// Leger place the files itself when Podman cannot install quadlets.
func (m *machine) choose(ctx context.Context) error {
	v, err := m.podman.Version(ctx)
	if err != nil {
		return localProblem(err)
	}
	m.version = quadlet.Version(v)
	if err := m.quadlets.Usable(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		slices.Reverse(m.config.Installers)
		m.engine = deploy.New(m.config)
	}
	return nil
}

// systemdUnits is the user's systemd.
func (a *app) systemdUnits() (deploy.Units, func(), error) {
	m, err := systemd.Open(systemd.Config{
		Address: a.env.get("DBUS_SESSION_BUS_ADDRESS"), RuntimeDir: a.env.get("XDG_RUNTIME_DIR"),
		Runner: a.runner(), Env: run.MinimalEnv(a.env.LookupEnv),
	})
	if err != nil {
		return nil, nil, err
	}
	return m, m.Close, nil
}

// releaseData is where the releases' containers may write, a directory for each.
func (a *app) releaseData() (string, error) {
	dir, err := a.env.dataDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "releases"), nil
}

// quadletDir is where Podman's generator looks for the user's quadlets.
func (a *app) quadletDir() (string, error) {
	dir, err := a.env.configDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(dir), "containers", "systemd"), nil
}

// podmanRunner finds podman where the settings say, else in PATH.
func (a *app) podmanRunner() (*run.Runner, error) {
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	program, err := s.Path(settings.Podman)
	if err != nil {
		return nil, err
	}
	path := a.env.get("PATH")
	if strings.Contains(program.Value, "/") {
		path = filepath.Dir(program.Value) + string(filepath.ListSeparator) + path
	}
	return run.New(run.Config{Path: path}), nil
}

// git makes the client that fetches from a source.
func (a *app) git(ctx context.Context, from deploy.Source) (*gitrepo.Client, error) {
	own, err := a.value(settings.GitUserSettings)
	if err != nil {
		return nil, err
	}
	var token leger.Plaintext
	if from.TokenOrigin == "" { // else it was given for another host, and stays here
		if token, err = a.gitToken(ctx, from.TokenSecret); err != nil {
			return nil, err
		}
	}
	return gitrepo.New(gitrepo.Config{
		Runner: a.runner(), UserSettings: own == "true", Token: token, AllowedSigners: from.AllowedSigners,
		Env: run.MinimalEnv(a.env.LookupEnv, "SSH_AUTH_SOCK",
			"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
	}), nil
}

// gitToken reads a token from the secret of this name, which legerd holds. No name
// is no token.
func (a *app) gitToken(ctx context.Context, text string) (leger.Plaintext, error) {
	if text == "" {
		return leger.Plaintext{}, nil
	}
	name, err := leger.ParseSecretName(text)
	if err != nil {
		return leger.Plaintext{}, err
	}
	f, _, err := a.signedIn()
	if err != nil {
		return leger.Plaintext{}, err
	}
	legerd, err := a.legerd()
	if err != nil {
		return leger.Plaintext{}, err
	}
	local := store{legerd, f.UserUUID, a.startLegerd}
	if _, err := local.List(ctx); err != nil { // starts legerd where it has to
		return leger.Plaintext{}, err
	}
	token, _, err := legerd.Get(ctx, f.UserUUID, name, 0)
	if errors.Is(err, leger.ErrNotFound) {
		return token, leger.Errorf(leger.CodeNotFound, "the secret %s, with the token for the repository, is not on this machine", name).
			WithHint("create it: leger secrets set %s, then: leger secrets sync", name)
	}
	return token, localProblem(err)
}

// podmanSecrets asks Podman which secrets it has.
type podmanSecrets struct{ c *podman.Client }

func (p podmanSecrets) Missing(ctx context.Context, names []string) ([]string, error) {
	have, err := p.c.Secrets(ctx)
	if err != nil {
		return nil, localProblem(err)
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(have, func(s podman.Secret) bool { return s.Name == name })
	}), nil
}
