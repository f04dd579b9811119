package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"leger.run/leger/bench/trial"
)

// commandResult is the wall time of runs of the leger command, process start
// included. limit is what it should stay below on an ordinary machine, 0 for none.
type commandResult struct {
	name  string
	took  []time.Duration
	limit time.Duration
}

const (
	versionRuns  = 30
	idleSyncRuns = 20
	fullSyncRuns = 5
)

// command runs the real leger against the real server and a real legerd.
type command struct {
	program string
	env     []string
}

func measureCommand(ctx context.Context, bin, dir string, l *leger, w *workload, r *report, say func(string, ...any)) (err error) {
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	// A socket's path has at most 107 bytes, so that it cannot lie anywhere.
	sockets, err := os.MkdirTemp("", "leger-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(sockets)) }()
	socket, podmanSocket := filepath.Join(sockets, "legerd.sock"), filepath.Join(sockets, "podman.sock")
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + sockets,
		"LEGER_SERVER=" + l.url, "LEGER_SHARED_SECRET_FILE=" + l.secretFile(), "LEGERD_SOCKET=" + socket, "LEGERD_PODMAN_SOCKET=" + podmanSocket,
	}
	c := command{filepath.Join(bin, "leger"), env}

	say("leger version")
	version, err := c.repeat(ctx, versionRuns, nil, nil, "version")
	if err != nil {
		return err
	}
	r.command = append(r.command, commandResult{"leger version", version, 30 * time.Millisecond})

	p, err := startPodman(ctx, podmanSocket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	d, err := startDaemon(ctx, filepath.Join(bin, "legerd"), socket, filepath.Join(home, "legerd"), env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if _, err := c.run(ctx, "auth", "login", "--local-identity", trial.Email, "--no-browser"); err != nil {
		return err
	}
	say("leger secrets sync")
	return c.syncs(ctx, l, p, w, r)
}

func (c command) syncs(ctx context.Context, l *leger, p *podman, w *workload, r *report) error {
	change := 0
	changeAll := func() error {
		change++
		for i := range w.secrets {
			w.secrets[i].Value = trial.Value(fmt.Sprint("change ", change), i)
		}
		return l.seed(ctx, w.secrets)
	}
	arrived := func() error { return p.holds(w.secrets) }
	// The first one makes what the others change.
	if _, err := c.repeat(ctx, 1, nil, arrived, "secrets", "sync"); err != nil {
		return err
	}
	full, err := c.repeat(ctx, fullSyncRuns, changeAll, arrived, "secrets", "sync")
	if err != nil {
		return err
	}
	idle, err := c.repeat(ctx, idleSyncRuns, nil, arrived, "secrets", "sync")
	if err != nil {
		return err
	}
	r.command = append(r.command,
		commandResult{"leger secrets sync, nothing to do", idle, 60 * time.Millisecond},
		commandResult{"leger secrets sync, 100 changed secrets, Podman stood in for", full, 0})
	return nil
}

func startDaemon(ctx context.Context, program, socket, data string, env []string) (*process, error) {
	d, _, err := launch(ctx, data, env, program, "--socket", socket, "--data", data)
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(socket); err == nil {
			return d, nil
		}
		select {
		case <-wait.Done():
			log, _ := os.ReadFile(data + ".log") //nolint:gosec // the benchmark's own directory
			return nil, errors.Join(fmt.Errorf("legerd made no socket: %w\n%s", wait.Err(), log), d.stop())
		case <-tick.C:
		}
	}
}

// repeat times runs of the command; around each, untimed, it calls prepare and
// check, where given.
func (c command) repeat(ctx context.Context, times int, prepare, check func() error, args ...string) ([]time.Duration, error) {
	var took []time.Duration
	for range times {
		if prepare != nil {
			if err := prepare(); err != nil {
				return nil, err
			}
		}
		t, err := c.run(ctx, args...)
		if err != nil {
			return nil, err
		}
		if check != nil {
			if err := check(); err != nil {
				return nil, err
			}
		}
		took = append(took, t)
	}
	return took, nil
}

func (c command) run(ctx context.Context, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, c.program, args...) //nolint:gosec // our own program
	cmd.Env = c.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("leger %s: %w\n%s", strings.Join(args, " "), err, out.Bytes())
	}
	return took, nil
}
