package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/systemd"
	"leger.run/leger/internal/tailnet"
	"leger.run/leger/internal/token"
)

func (a *app) checkSettings(context.Context) finding {
	const check = "settings"
	s, err := a.settings()
	if err != nil {
		return failing(check, err)
	}
	for _, k := range settings.Keys() {
		if _, err := s.Get(k.Name); err != nil {
			return failing(check, err)
		}
	}
	user, system, err := s.Files()
	if err != nil {
		return failing(check, err)
	}
	path, err := a.configPath()
	if err != nil {
		return failing(check, err)
	}
	for _, f := range []struct {
		path    string
		unknown []string
	}{{path, user.Unknown}, {a.env.SystemConfig, system.Unknown}} {
		if len(f.unknown) > 0 {
			return warned(check, "%s has keys leger does not know: %s", f.path, strings.Join(f.unknown, ", ")).
				withMend("leger config list shows the keys there are")
		}
	}
	return fine(check, "%s", path)
}

// checkTailscale does not fail a machine that is signed in without Tailscale.
func (a *app) checkTailscale(ctx context.Context) finding {
	const check = "Tailscale"
	id, err := tailnet.New(a.tailnetConfig()).Identity(ctx)
	if err == nil {
		return fine(check, "%s on %s", id.Email, id.Tailnet)
	}
	f := failing(check, err)
	if auth, err := a.readSignIn(); err == nil && auth.Local {
		f.State = conditionWarn
	}
	return f
}

// checkServer compares clocks, too: a token from the future is refused
// (token.Skew), and one from the past ends early.
func (a *app) checkServer(ctx context.Context) finding {
	const check = "server"
	server, err := a.value(settings.Server)
	if err != nil {
		return failing(check, err)
	}
	c, err := a.client(server, "")
	if err != nil {
		return failing(check, err)
	}
	asked := a.env.Now()
	h, err := c.Health(ctx)
	if err != nil {
		return failing(check, err)
	}
	answered := a.env.Now()
	skew := asked.Add(answered.Sub(asked) / 2).Sub(h.Timestamp.Time).Round(time.Second)
	const noticed = 10 * time.Second
	switch {
	case skew.Abs() > token.Skew:
		return failing(check, leger.Errorf(leger.CodeInvalidToken, "%s answers, but this machine's clock is %s %s", server, skew.Abs(), aheadOrBehind(skew)).
			WithHint("set the clock: sudo timedatectl set-ntp true"))
	case skew.Abs() > noticed:
		return warned(check, "%s answers; this machine's clock is %s %s", server, skew.Abs(), aheadOrBehind(skew)).
			withMend("set the clock: sudo timedatectl set-ntp true")
	}
	if _, origin, err := c.AuthMethods(ctx); err == nil {
		if err := signin.CheckName(c.Server(), origin); err != nil {
			return failing(check, err)
		}
	}
	return fine(check, "%s, version %s", server, h.Version)
}

func aheadOrBehind(skew time.Duration) string {
	if skew > 0 {
		return "ahead of the server's"
	}
	return "behind the server's"
}

func (a *app) checkSignIn(ctx context.Context) finding {
	const check = "sign-in"
	f, c, err := a.signedIn()
	if err != nil {
		return failing(check, err)
	}
	switch _, err := c.User(ctx); {
	case errors.Is(err, leger.ErrInvalidToken):
		return failing(check, err)
	case err != nil:
		return warned(check, "%s, not confirmed: %v", f.Who(), err)
	}
	if f.MachineID != "" {
		return fine(check, "%s, by this machine's own key", f.Who())
	}
	if left := f.ExpiresAt.Sub(a.env.Now()); left < 3*24*time.Hour {
		return warned(check, "%s, until %s only", f.Who(), a.when(f.ExpiresAt)).withMend("leger auth login")
	}
	return fine(check, "%s, until %s", f.Who(), f.ExpiresAt.Local().Format(time.DateOnly))
}

// checkBackup gives no finding when the server says nothing of backups, or nothing at
// all: other checks tell of that.
func (a *app) checkBackup(ctx context.Context) finding {
	const check = "server backup"
	_, c, err := a.signedIn()
	if err != nil {
		return finding{}
	}
	u, err := c.Profile(ctx)
	switch b := u.Backup; {
	case err != nil || b == nil:
		return finding{}
	case b.MadeAt == nil:
		return warned(check, "the server has never been backed up").
			withMend("on the server's machine: leger-server backup FILE --with-keys --passphrase")
	case !b.KeysSaved:
		return warned(check, "the server's keys lie only beside its database, last backed up %s", a.when(b.MadeAt.Time)).
			withMend("on the server's machine: leger-server recovery-sheet")
	default:
		return fine(check, "made %s", a.when(b.MadeAt.Time))
	}
}

func (a *app) checkLegerd(ctx context.Context) finding {
	const check = "legerd"
	c, err := a.legerd()
	if err != nil {
		return failing(check, err)
	}
	s, err := c.Status(ctx)
	if err != nil {
		return failing(check, err)
	}
	if s.Podman.Error != nil {
		f := failing(check, s.Podman.Error.Err())
		f.Message = "legerd " + s.Version + " runs, but cannot reach Podman: " + f.Message
		return f
	}
	if s.Version != a.env.Version {
		return warned(check, "legerd is version %s, leger %s", s.Version, a.env.Version).
			withMend("systemctl --user restart legerd")
	}
	return fine(check, "version %s, %s", s.Version, plural(s.Secrets, "secret"))
}

func (a *app) checkPodman(ctx context.Context) finding {
	const check = "Podman"
	runner, err := a.podmanRunner()
	if err != nil {
		return failing(check, err)
	}
	res, err := runner.Run(ctx, run.Command{
		Path: "podman", Args: []string{"version", "--format", "{{.Client.Version}}"}, Env: run.MinimalEnv(a.env.LookupEnv),
	})
	if err != nil {
		return failing(check, err)
	}
	v, err := podman.ParseVersion(string(res.Stdout))
	switch {
	case err != nil:
		return failing(check, leger.Wrap(leger.CodeMissingPart, err, "podman does not tell its version").
			WithHint("run it yourself: podman version"))
	case v.Before(podman.MinVersion()):
		return failing(check, leger.Errorf(leger.CodeMissingPart, "Podman %s is too old: leger needs %s", v, podman.MinVersion()).
			WithHint("install a newer Podman; %s or newer is best", podman.QuadletVersion()))
	case v.Before(podman.QuadletVersion()):
		return warned(check, "version %s; from %s on Podman manages quadlets itself", v, podman.QuadletVersion())
	}
	return fine(check, "version %s", v)
}

func (a *app) checkPodmanSocket(ctx context.Context) finding {
	const check = "Podman socket"
	c := podman.New(podman.Config{RuntimeDir: a.env.get("XDG_RUNTIME_DIR")})
	defer func() { _ = c.Close() }()
	if _, err := c.Version(ctx); err != nil {
		return warned(check, "does not answer: syncing starts Podman's service by itself, which is slower").
			withMend("systemctl --user enable --now podman.socket")
	}
	return fine(check, "answers")
}

// checkGenerator lets Podman's generator read a quadlet that is right.
func (a *app) checkGenerator(ctx context.Context) finding {
	const check = "generator"
	runner, err := a.podmanRunner()
	if err != nil {
		return failing(check, err)
	}
	q := podman.NewQuadlets(podman.QuadletConfig{Runner: runner, Env: run.MinimalEnv(a.env.LookupEnv)})
	problems, err := q.Check(ctx, map[string][]byte{"doctor.container": []byte("[Container]\nImage=localhost/doctor:1\n")})
	switch {
	case err != nil:
		return failing(check, err)
	case len(problems) > 0:
		return failing(check, leger.Errorf(leger.CodeMissingPart, "Podman's generator does not take a plain quadlet: %s", problems[0].Message).
			WithHint("install Podman anew from your distribution's packages"))
	}
	return fine(check, "makes services of quadlets")
}

func (a *app) checkSystemd(context.Context) finding {
	const check = "systemd"
	_, closeUnits, err := a.openUnits()
	if err != nil {
		return failing(check, err)
	}
	closeUnits()
	return fine(check, "your user session answers")
}

func (a *app) checkLinger(context.Context) finding {
	const check = "lingering"
	user := a.env.get("USER")
	switch {
	case user == "":
		return warned(check, "not known: USER is not set")
	case systemd.Lingering(user):
		return fine(check, "your services run without you being logged in")
	default:
		return warned(check, "your services stop when you log out").withMend("loginctl enable-linger")
	}
}

func (a *app) checkGit(ctx context.Context) finding {
	const check = "git"
	res, err := a.runner().Run(ctx, run.Command{Path: "git", Args: []string{"version"}, Env: run.MinimalEnv(a.env.LookupEnv)})
	if err != nil {
		return failing(check, err)
	}
	return fine(check, "%s", strings.TrimPrefix(firstLine(res.Stdout), "git "))
}
