//go:build machine

package deploy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/systemd"
)

// realParts are the real systemd and Podman of the test machine.
type realParts struct {
	root     string // where quadlets are installed
	units    *systemd.Manager
	quadlets *podman.Quadlets
	podman   *podman.Client
}

func openParts(t *testing.T) realParts {
	t.Helper()
	runner, env := run.New(run.Config{}), run.MinimalEnv(os.LookupEnv)
	p := realParts{root: filepath.Join(os.Getenv("HOME"), ".config", "containers", "systemd")}
	if err := os.MkdirAll(p.root, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	p.units, err = systemd.Open(systemd.Config{
		Address: os.Getenv("DBUS_SESSION_BUS_ADDRESS"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Runner: runner, Env: env,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.units.Close)
	p.quadlets = podman.NewQuadlets(podman.QuadletConfig{Runner: runner, Env: env, Dir: p.root, TempDir: t.TempDir()})
	p.podman = podman.New(podman.Config{RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Runner: runner, Env: env})
	t.Cleanup(func() { _ = p.podman.Close() })
	return p
}

// config is that of an Engine with everything real and its records in dir; the test
// may change it.
func (p realParts) config(dir string) deploy.Config {
	return deploy.Config{
		StateDir: dir, Installers: []deploy.Installer{p.quadlets, deploy.NewDirectory(p.root, safefile.Disk{})},
		Units: p.units, Podman: p.podman, Volumes: p.quadlets, Generator: p.quadlets, StartTimeout: time.Minute,
	}
}

// realEngine is an Engine with everything real but Podman's socket, which not every
// machine has. The release leger-app goes when the test ends.
func realEngine(t *testing.T) *deploy.Engine {
	t.Helper()
	cfg := openParts(t).config(t.TempDir())
	cfg.Podman = nil
	e := deploy.New(cfg)
	removeAtEnd(t, e)
	return e
}

func removeAtEnd(t *testing.T, e *deploy.Engine) {
	t.Helper()
	t.Cleanup(func() {
		_, err := e.Remove(context.WithoutCancel(t.Context()), releaseName(t, "leger-app"), deploy.RemoveOptions{Volumes: true}, nil)
		if err != nil && !errors.Is(err, leger.ErrNotFound) {
			t.Errorf("clean up: %v", err)
		}
	})
}

// dataBase is where the releases' data directories are.
func dataBase() string {
	return filepath.Join(os.Getenv("HOME"), ".local", "share", "leger", "releases")
}
