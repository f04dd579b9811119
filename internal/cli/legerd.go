package cli

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/secretsync"
)

const (
	// startPatience is how long legerd may take until it answers: it opens its store
	// and takes a lock, both from the local disk.
	startPatience = 10 * time.Second
	// startPoll is how often it is tried meanwhile.
	startPoll = 20 * time.Millisecond
)

// socketPath is where legerd listens; custom tells that the user said so.
func (a *app) socketPath() (path string, custom bool, err error) {
	path, _, err = a.env.lookup("LEGERD_SOCKET")
	if err != nil || path != "" {
		return path, true, err
	}
	dir := a.env.get("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return "", false, leger.Errorf(leger.CodeMissingPart, "XDG_RUNTIME_DIR is not set, so legerd cannot be found: this is no login session of yours").
			WithHint("log in as this user (not through su or sudo), or set LEGERD_SOCKET")
	}
	return filepath.Join(dir, "leger", "legerd.sock"), false, nil
}

// legerd gives a client of the daemon, which need not be running.
func (a *app) legerd() (*localvault.Client, error) {
	path, _, err := a.socketPath()
	if err != nil {
		return nil, err
	}
	return localvault.NewClient(localvault.ClientConfig{Socket: path}), nil
}

// startLegerd starts the daemon and waits until it answers: the unit when it is
// installed, else the program as a unit of its own. Where there is no systemd the
// error says how to run it.
func (a *app) startLegerd(ctx context.Context, c *localvault.Client) error {
	path, custom, err := a.socketPath()
	if err != nil {
		return err
	}
	if !custom && a.runs(ctx, "systemctl", "--user", "start", "legerd.socket") {
		a.detail("started legerd.socket")
		return a.awaitLegerd(ctx, c)
	}
	program, err := a.findLegerd()
	if err != nil {
		return leger.Errorf(leger.CodeMissingPart, "legerd is not running, and it is not installed beside leger nor in PATH").
			WithHint("install legerd, then: leger doctor")
	}
	args := []string{"--user", "--unit=legerd", "--collect", "--quiet", "--property=Type=notify"}
	for _, name := range []string{"LEGERD_DATA", "LEGERD_PODMAN_SOCKET"} {
		if v := a.env.get(name); v != "" {
			args = append(args, "--setenv="+name+"="+v)
		}
	}
	args = append(args, "--", program, "--socket", path)
	if a.runs(ctx, "systemd-run", args...) {
		a.say("legerd was not running: started %s as legerd.service of your session.", program)
		return a.awaitLegerd(ctx, c)
	}
	return leger.Errorf(leger.CodeMissingPart, "legerd is not running, and systemd could not start it").
		WithHint("run it in another terminal: %s --socket %s", program, path)
}

// runs reports whether a program ended well; what it said is shown by --verbose.
func (a *app) runs(ctx context.Context, program string, args ...string) bool {
	res, err := a.runner().Run(ctx, run.Command{Path: program, Args: args, Env: run.MinimalEnv(a.env.LookupEnv)})
	if err != nil {
		a.detail("%v", err)
		return false
	}
	if res.Code != 0 {
		a.detail("%s ended with code %d: %s", program, res.Code, firstLine(res.Stderr))
	}
	return res.Code == 0
}

func firstLine(b []byte) string {
	for i, c := range b {
		if c == '\n' {
			return string(b[:i])
		}
	}
	return string(b)
}

// findLegerd looks beside leger, then in PATH.
func (a *app) findLegerd() (string, error) {
	if a.env.Executable != "" {
		if exe, err := filepath.EvalSymlinks(a.env.Executable); err == nil {
			if p, err := a.runner().LookPath(filepath.Join(filepath.Dir(exe), "legerd")); err == nil {
				return p, nil
			}
		}
	}
	return a.runner().LookPath("legerd")
}

func (a *app) awaitLegerd(ctx context.Context, c *localvault.Client) error {
	wait, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		_, err := c.Status(wait)
		if !errors.Is(err, leger.ErrMissingPart) {
			return localProblem(err)
		}
		select {
		case <-wait.Done():
			if ctx.Err() != nil {
				return leger.Errorf(leger.CodeInterrupted, "interrupted while legerd was starting")
			}
			return leger.Errorf(leger.CodeMissingPart, "legerd was started but does not answer").
				WithHint("look at: journalctl --user -u legerd")
		case <-tick.C:
		}
	}
}

// localProblem marks what legerd could not do as a fault of this machine: its
// ErrUnavailable would read as the server's.
func localProblem(err error) error {
	var e *leger.Error
	if errors.Is(err, leger.ErrUnavailable) && errors.As(err, &e) {
		local := *e
		local.Code = leger.CodeMissingPart
		return &local
	}
	return err
}

// store is the user's part of legerd's store, as a sync sees it. The first
// question is List: if nobody answers it, legerd is started and asked again.
type store struct {
	legerd *localvault.Client
	user   leger.UserID
	start  func(context.Context, *localvault.Client) error
}

func (s store) List(ctx context.Context) ([]secretsync.Held, error) {
	stored, err := s.legerd.List(ctx, s.user)
	if errors.Is(err, leger.ErrMissingPart) {
		if err := s.start(ctx, s.legerd); err != nil {
			return nil, err
		}
		stored, err = s.legerd.List(ctx, s.user)
	}
	if err != nil {
		return nil, localProblem(err)
	}
	held := make([]secretsync.Held, 0, len(stored))
	for _, x := range stored {
		held = append(held, secretsync.Held{Name: x.Name, Active: x.Active, Kept: x.Versions})
	}
	return held, nil
}

func (s store) Value(ctx context.Context, name leger.SecretName, v leger.Version) (leger.Plaintext, error) {
	p, _, err := s.legerd.Get(ctx, s.user, name, v)
	return p, err
}

func (s store) Activate(ctx context.Context, name leger.SecretName, v leger.Version) error {
	return s.legerd.Activate(ctx, s.user, name, v)
}

func (s store) Create(ctx context.Context, name leger.SecretName, v leger.Version, value leger.Plaintext) error {
	return s.legerd.CreateVersion(ctx, s.user, name, v, value)
}

func (s store) Replace(ctx context.Context, name leger.SecretName, v leger.Version, value leger.Plaintext) error {
	return localProblem(s.legerd.Replace(ctx, s.user, name, v, value))
}

func (s store) Leftovers(ctx context.Context) ([]secretsync.Leftover, error) {
	report, err := s.legerd.Preview(ctx, s.user)
	if err != nil {
		return nil, localProblem(err)
	}
	var out []secretsync.Leftover
	for _, o := range report.Secrets {
		if o.Owner == nil && o.Action != localvault.ActionKept {
			continue
		}
		l := secretsync.Leftover{Name: o.Name, Version: o.Version}
		if o.Owner != nil {
			l.Owner = *o.Owner
		}
		out = append(out, l)
	}
	return out, nil
}

func (s store) DeleteVersion(ctx context.Context, name leger.SecretName, v leger.Version) error {
	return s.legerd.DeleteVersion(ctx, s.user, name, v)
}

func (s store) Delete(ctx context.Context, name leger.SecretName) error {
	return s.legerd.Delete(ctx, s.user, name)
}

func (s store) Reconcile(ctx context.Context, remove []leger.SecretName) ([]secretsync.Verdict, error) {
	report, err := s.legerd.Reconcile(ctx, s.user, remove...)
	if err != nil {
		return nil, localProblem(err)
	}
	out := make([]secretsync.Verdict, 0, len(report.Secrets))
	for _, o := range report.Secrets {
		v := secretsync.Verdict{Name: o.Name, State: string(o.Action)}
		if o.Action == localvault.ActionConflict || o.Action == localvault.ActionFailed {
			v.Err = leger.Errorf(leger.CodeInternal, "legerd says %s and does not say why", o.Action)
			if o.Error != nil {
				v.Err = o.Error.Err()
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// remote is the server's side of a sync.
type remote struct{ c *client.Client }

func (r remote) SecretValues(ctx context.Context, etag string) (secretsync.List, error) {
	got, err := r.c.SecretValues(ctx, etag)
	if err != nil {
		return secretsync.List{}, err
	}
	list := secretsync.List{
		Origin: secretsync.Origin{Installation: got.Installation, Epoch: got.Epoch}, ETag: got.ETag,
		NotModified: got.NotModified, Withheld: got.Withheld,
	}
	for _, s := range got.Secrets {
		if s.Value == nil {
			return secretsync.List{}, leger.Errorf(leger.CodeUnreachable, "the server sent no value for %s", s.Name).
				WithHint("update leger: the server may be newer")
		}
		list.Values = append(list.Values, secretsync.Value{Name: s.Name, Version: s.Version, Value: leger.NewPlaintext([]byte(*s.Value))})
	}
	return list, nil
}

// secretsAdopt takes over a Podman secret that somebody else made: legerd's value
// replaces it.
func (a *app) secretsAdopt(ctx context.Context, text string) error {
	name, err := leger.ParseSecretName(text)
	if err != nil {
		return err
	}
	c, err := a.legerd()
	if err != nil {
		return err
	}
	out, err := c.Adopt(ctx, name)
	if err != nil {
		return localProblem(err)
	}
	a.say("%s is Leger's now, at version %d.", name, out.Version)
	if a.flags.json {
		return a.printJSON(out)
	}
	return nil
}
