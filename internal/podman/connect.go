package podman

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
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

// connect finds a way to Podman, in this order, and keeps it:
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
	if c.way != nil {
		return c.way, nil
	}
	way, name, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	v, err := way.version(ctx)
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
	c.way = way
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

func (c *Client) find(ctx context.Context) (way backend, name string, err error) {
	if c.cfg.Socket != "" {
		if err := answers(ctx, c.cfg.Socket); err != nil {
			return nil, "", leger.Wrap(leger.CodeMissingPart, err, "Podman's socket %s does not answer", c.cfg.Socket).
				WithHint("start it, or correct --podman-socket (LEGERD_PODMAN_SOCKET)")
		}
		return newREST(c.cfg.Socket), c.cfg.Socket, nil
	}
	if c.cfg.RuntimeDir != "" {
		socket := filepath.Join(c.cfg.RuntimeDir, "podman", "podman.sock")
		if answers(ctx, socket) == nil || c.startUnit(ctx) && answers(ctx, socket) == nil {
			return newREST(socket), socket, nil
		}
	}
	if c.cfg.Runner == nil {
		return nil, "", leger.Errorf(leger.CodeMissingPart, "Podman's socket does not answer").
			WithHint("start it: systemctl --user enable --now podman.socket")
	}
	if _, err := c.cfg.Runner.LookPath("podman"); err != nil {
		return nil, "", err
	}
	if c.cfg.RuntimeDir != "" {
		socket, err := c.startService(ctx)
		if err == nil {
			return newREST(socket), socket, nil
		}
		c.cfg.Logger.WarnContext(ctx, "no Podman service, using the podman program for each request", slog.Any("error", err))
	}
	return &program{runner: c.cfg.Runner, env: c.cfg.Env}, "podman program", nil
}

// answers dials a socket and hangs up.
func answers(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
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
		return "", leger.Wrap(leger.CodeUnavailable, err, "make the directory of Podman's socket")
	}
	socket = filepath.Join(dir, "podman.sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", leger.Wrap(leger.CodeUnavailable, err, "remove the old socket of Podman")
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
