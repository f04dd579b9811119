package podman

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// serviceIdle is how long a service of our own waits for a request before it
// ends: long enough for one sync, short enough to cost nothing afterwards.
const serviceIdle = 30 * time.Second

// slowFor is how long the podman program is used once nothing better was found:
// then the better ways get another chance.
const slowFor = time.Minute

// connect finds a way to Podman that answers, in this order, and keeps it:
//
//  1. Config.Socket, and nothing else, when the user named one;
//  2. $XDG_RUNTIME_DIR/podman/podman.sock, where Podman's own unit listens: most
//     machines have it, and Podman then runs only while it is asked something;
//  3. the same after "systemctl --user start podman.socket": many distributions
//     install the unit without enabling it. systemd starts Podman outside the
//     sandbox of whoever asks, so this comes before what we start ourselves;
//  4. a "podman system service" of our own on a socket below
//     $XDG_RUNTIME_DIR/leger: machines without systemd;
//  5. the podman program, once per request: slow, but it works wherever Podman
//     does.
func (c *Client) connect(ctx context.Context) (backend, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, leger.Errorf(leger.CodeInternal, "the Podman client is closed")
	}
	_, slow := c.way.(*program)
	if c.way != nil && (!slow || c.cfg.Now().Sub(c.since) < slowFor) {
		return c.way, nil
	}
	c.way = nil
	way, v, name, err := c.find(ctx)
	if err != nil {
		return nil, explain(ctx, err)
	}
	if err := v.usable(); err != nil {
		return nil, err
	}
	if r, ok := way.(*rest); ok {
		r.prefix = "/v" + strconv.Itoa(v.Major) + ".0.0"
	}
	c.cfg.Logger.InfoContext(ctx, "connected to Podman", slog.String("version", v.String()), slog.String("way", name))
	c.way, c.since = way, c.cfg.Now()
	return way, nil
}

// forget drops a way that is gone, unless another call has already done so.
func (c *Client) forget(b backend) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.way == b {
		c.way = nil
	}
}

// find tries the ways until one tells its version. A socket whose service ends
// without an answer, as systemd's does when the podman program is gone, is no way;
// a service that answers and is not Podman is the user's business, and said.
func (c *Client) find(ctx context.Context) (backend, Version, string, error) {
	if c.cfg.Socket != "" {
		way := newREST(c.cfg.Socket)
		v, err := way.version(ctx)
		if err != nil && !known(err) && ctx.Err() == nil {
			err = leger.Wrap(leger.CodeMissingPart, err, "Podman's socket %s does not answer", c.cfg.Socket).
				WithHint("start it, or correct --podman-socket (LEGERD_PODMAN_SOCKET)")
		}
		return way, v, c.cfg.Socket, err
	}
	var last error
	for _, open := range []func(context.Context) (backend, string, error){
		c.userSocket, c.startedSocket, c.ownService, c.program,
	} {
		way, name, err := open(ctx)
		if err == nil {
			var v Version
			if v, err = way.version(ctx); err == nil {
				return way, v, name, nil
			}
		}
		if known(err) || ctx.Err() != nil {
			return nil, Version{}, "", err
		}
		c.cfg.Logger.DebugContext(ctx, "no way to Podman", slog.Any("error", err))
		last = err
	}
	return nil, Version{}, "", last
}

// known reports whether err already says what is wrong and what to do.
func known(err error) bool {
	_, ok := errors.AsType[*leger.Error](err)
	return ok
}

// errNoWay says that a way does not exist on this machine.
var errNoWay = errors.New("there is no such way here")

func (c *Client) userSocket(ctx context.Context) (backend, string, error) {
	if c.cfg.RuntimeDir == "" {
		return nil, "", errNoWay
	}
	socket := filepath.Join(c.cfg.RuntimeDir, "podman", "podman.sock")
	if err := answers(ctx, socket); err != nil {
		return nil, "", err
	}
	return newREST(socket), socket, nil
}

func (c *Client) startedSocket(ctx context.Context) (backend, string, error) {
	if c.cfg.RuntimeDir == "" || !c.startUnit(ctx) {
		return nil, "", errNoWay
	}
	return c.userSocket(ctx)
}

func (c *Client) ownService(ctx context.Context) (backend, string, error) {
	if err := c.installed(); err != nil {
		return nil, "", err
	}
	if c.cfg.RuntimeDir == "" {
		return nil, "", errNoWay
	}
	socket, err := c.startService(ctx)
	if err != nil {
		c.cfg.Logger.WarnContext(ctx, "no Podman service, using the podman program for each request", slog.Any("error", err))
		return nil, "", errNoWay
	}
	return newREST(socket), socket, nil
}

func (c *Client) program(context.Context) (backend, string, error) {
	return &program{runner: c.cfg.Runner, env: c.cfg.Env}, "podman program", nil
}

// installed fails with ErrMissingPart where nothing can be started.
func (c *Client) installed() error {
	if c.cfg.Runner == nil {
		return leger.Errorf(leger.CodeMissingPart, "Podman's socket does not answer").
			WithHint("start it: systemctl --user enable --now podman.socket")
	}
	_, err := c.cfg.Runner.LookPath("podman")
	return err
}

// answers dials a socket and hangs up.
func answers(ctx context.Context, socket string) error {
	conn, err := dial(ctx, socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// startUnit asks systemd for Podman's socket. Whether it helped shows when the
// socket is dialled.
func (c *Client) startUnit(ctx context.Context) bool {
	if c.cfg.Runner == nil {
		return false
	}
	res, err := c.cfg.Runner.Run(ctx, run.Command{
		Path: "systemctl", Args: []string{"--user", "start", "podman.socket"}, Env: c.cfg.Env,
	})
	if err != nil || res.Code != 0 {
		c.cfg.Logger.DebugContext(ctx, "systemd does not start podman.socket", slog.Int("code", res.Code), slog.Any("error", err))
		return false
	}
	return true
}

// startService starts a Podman service of our own and waits until it answers.
// c.mu is held.
func (c *Client) startService(ctx context.Context) (socket string, err error) {
	if c.service != nil {
		c.service.Stop()
		c.service = nil
	}
	dir := filepath.Join(c.cfg.RuntimeDir, "leger")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", leger.WrapFile(leger.CodeUnavailable, err, "make the directory of Podman's socket")
	}
	socket = filepath.Join(dir, "podman.sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", leger.WrapFile(leger.CodeUnavailable, err, "remove the old socket of Podman")
	}
	// The service outlives the call that needs it: it ends by itself, or with Close.
	process, err := c.cfg.Runner.Start(context.WithoutCancel(ctx), run.Command{
		Path: "podman",
		Args: []string{"system", "service", "--time", strconv.Itoa(int(serviceIdle.Seconds())), "unix://" + socket},
		Env:  c.cfg.Env,
		// It lives long and what it says is of no use here.
		Stdout: io.Discard, Stderr: io.Discard, MaxOutput: -1,
	})
	if err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() {
		res, err := process.Wait()
		if err == nil && res.Code != 0 {
			err = leger.Errorf(leger.CodeUnavailable, "podman system service ended with code %d", res.Code)
		}
		ended <- err
	}()
	if err := awaitSocket(ctx, socket, ended, c.cfg.StartTimeout); err != nil {
		process.Stop()
		return "", err
	}
	c.service = process
	return socket, nil
}

// awaitSocket waits until the socket answers. A service offers no sign of being
// ready but that.
func awaitSocket(ctx context.Context, socket string, ended <-chan error, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, socket) == nil {
			return nil
		}
		select {
		case err := <-ended:
			if err == nil {
				err = leger.Errorf(leger.CodeUnavailable, "podman system service ended at once")
			}
			return err
		case <-ctx.Done():
			return leger.Wrap(leger.CodeUnavailable, context.Cause(ctx), "podman system service does not answer")
		case <-tick.C:
		}
	}
}
