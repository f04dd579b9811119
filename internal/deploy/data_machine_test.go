//go:build machine

package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
)

// knowsUnit reports whether systemd, after a reload, knows a unit.
func knowsUnit(t *testing.T, unit string) bool {
	t.Helper()
	known := false
	for _, args := range [][]string{{"--user", "daemon-reload"}, {"--user", "cat", unit}} {
		res, err := run.New(run.Config{}).Run(t.Context(), run.Command{Path: "systemctl", Args: args, Env: run.MinimalEnv(os.LookupEnv)})
		if err != nil {
			t.Fatal(err)
		}
		known = res.Code == 0
	}
	return known
}

// The story: a container wrote evil.container into its ./data, which lay among the
// quadlets, and after a reload it ran on the machine as the user. Now the real
// Podman mounts a directory in which its generator does not look, and what is
// written there outlives update, removal and the next installation.
func TestMachineAContainerCannotInstallAQuadlet(t *testing.T) {
	parts, base := openParts(t), dataBase()
	cfg := parts.config(t.TempDir())
	cfg.DataDir = base
	e := deploy.New(cfg)
	name := releaseName(t, "leger-app")
	t.Cleanup(func() { _ = os.RemoveAll(deploy.DataDir(base, name)) })
	removeAtEnd(t, e)
	release := func(commit, env string) deploy.Request {
		req := request(t, "leger-app", commit)
		req.Set = quadlet.LoadFilesWith(map[string][]byte{
			"leger-w.container": []byte("[Container]\n" + image + "Volume=./data:/data\nMount=type=bind,src=./more,dst=/more\nEnvironmentFile=.env\n[Install]\nWantedBy=default.target\n"),
			"data/seed":         []byte("1\n"), ".env": []byte(env),
		}, quadlet.Options{Data: deploy.DataDir(base, name)})
		return req
	}
	mustInstall(t, e, release("c1", "A=1\n"))

	evil := filepath.Join(t.TempDir(), "leger-evil.container")
	if err := os.WriteFile(evil, []byte("[Container]\n"+image), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"data", "more"} {
		ps(t, "cp", evil, "systemd-leger-w:/"+dir+"/leger-evil.container")
		if _, err := os.Stat(filepath.Join(base, "leger-app", dir, "leger-evil.container")); err != nil {
			t.Errorf("the container's %s lies elsewhere: %v", dir, err)
		}
	}
	if knowsUnit(t, "leger-evil.service") {
		t.Error("a container has installed a quadlet")
	}
	// Where its data used to lie, it would have.
	former := filepath.Join(parts.root, "leger-app.leger", "former")
	if err := os.MkdirAll(former, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(former, "leger-evil.container"), []byte("[Container]\n"+image), 0o600); err != nil {
		t.Fatal(err)
	}
	if !knowsUnit(t, "leger-evil.service") {
		t.Error("Podman does not look below the release's directory: this test shows nothing")
	}
	if err := os.RemoveAll(former); err != nil {
		t.Fatal(err)
	}

	mustInstall(t, e, release("c2", "A=2\n"))
	removed, err := e.Remove(t.Context(), name, deploy.RemoveOptions{}, nil)
	if err != nil || !slices.Equal(removed.KeptData, []string{filepath.Join(base, "leger-app")}) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if _, err := os.Stat(filepath.Join(base, "leger-app", "data", "leger-evil.container")); err != nil {
		t.Errorf("what the container wrote is lost: %v", err)
	}
}
