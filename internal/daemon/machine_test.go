//go:build machine

package daemon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/daemon"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
)

// These run inside the test machine, as its user, against the real Podman.

// realPodman starts Podman's socket and gives its path and a client of its own.
func realPodman(t *testing.T) (socket string, c *podman.Client) {
	t.Helper()
	r, env := run.New(run.Config{}), run.MinimalEnv(os.LookupEnv)
	res, err := r.Run(t.Context(), run.Command{Path: "systemctl", Args: []string{"--user", "start", "podman.socket"}, Env: env})
	if err != nil || res.Code != 0 {
		t.Fatalf("start podman.socket: %v %s", err, res.Stderr)
	}
	socket = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "podman", "podman.sock")
	c = podman.New(podman.Config{Socket: socket})
	t.Cleanup(func() {
		after := context.WithoutCancel(t.Context())
		all, err := c.Secrets(after)
		if err != nil {
			t.Error(err)
		}
		for _, s := range all {
			if s.Labels[daemon.LabelManaged] == "true" || s.Name == "leger_machine_theirs" {
				_ = c.RemoveSecret(after, s.ID)
			}
		}
		_ = c.Close()
	})
	return socket, c
}

// Everything that can happen to a hundred secrets, with the real Podman.
func TestMachineAHundredSecrets(t *testing.T) {
	const count = 100
	socket, c := realPodman(t)
	dir := home(t)
	d := start(t, dir, []string{"--podman-socket", socket})
	ctx, u := t.Context(), user(t, 1)
	theirs := name(t, "leger_machine_theirs")
	if err := c.CreateSecret(ctx, theirs, text("own"), nil, false); err != nil {
		t.Fatal(err)
	}
	sync := func(v leger.Version) (wrote, followed time.Duration) {
		begun := time.Now()
		for i := range count {
			if err := d.client.CreateVersion(ctx, u, name(t, fmt.Sprintf("leger_machine_%03d", i)), v, text(canary)); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.client.CreateVersion(ctx, u, theirs, v, text(canary)); err != nil {
			t.Fatal(err)
		}
		wrote, begun = time.Since(begun), time.Now()
		r, err := d.client.Reconcile(ctx, u)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Secrets) != count+1 || r.OK() || strings.Count(verdicts(r), "conflict") != 1 || strings.Contains(verdicts(r), "failed") {
			t.Fatalf("verdicts: %s", verdicts(r))
		}
		return wrote, time.Since(begun)
	}
	wrote, followed := sync(1)
	t.Logf("%d new: written in %v, in Podman %v later", count, wrote, followed)
	wrote, followed = sync(2)
	t.Logf("%d replaced: written in %v, in Podman %v later", count, wrote, followed)

	one := name(t, "leger_machine_007")
	s, err := c.SecretInfo(ctx, one)
	if err != nil || s.Labels[daemon.LabelVersion] != "2" || s.Labels[daemon.LabelUser] != u.String() {
		t.Fatalf("%+v %v", s, err)
	}
	if s, err := c.SecretInfo(ctx, theirs); err != nil || len(s.Labels) != 0 {
		t.Errorf("what was not Leger's was touched: %+v %v", s, err)
	}
	if o, err := d.client.Adopt(ctx, theirs); err != nil || o.Action != "replaced" {
		t.Errorf("%+v %v", o, err)
	}

	// Removed by hand, and the daemon killed: a new one mends it.
	if err := c.RemoveSecret(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Process.Kill()
	if err := <-d.ended; err == nil {
		t.Error("a daemon that was killed ended well")
	}
	d = start(t, dir, []string{"--podman-socket", socket})
	eventually(t, "the secret to come back", func() bool { _, err := c.SecretInfo(ctx, one); return err == nil })

	// A server that was restored gives the version to another value.
	if err := d.client.Replace(ctx, u, one, 2, text("another")); err != nil {
		t.Fatal(err)
	}
	before, err := c.SecretInfo(ctx, one)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := d.client.Reconcile(ctx, u); err != nil || !r.OK() {
		t.Fatalf("%v %v", r, err)
	}
	if after, err := c.SecretInfo(ctx, one); err != nil || after.ID == before.ID && after.Labels[daemon.LabelDigest] == before.Labels[daemon.LabelDigest] {
		t.Errorf("Podman still has the former value: %+v %+v %v", before, after, err)
	}

	remove := []leger.SecretName{theirs}
	for i := range count {
		remove = append(remove, name(t, fmt.Sprintf("leger_machine_%03d", i)))
	}
	for _, n := range remove {
		if err := d.client.Delete(ctx, u, n); err != nil {
			t.Fatal(err)
		}
	}
	r, err := d.client.Reconcile(ctx, u, remove...)
	if err != nil || !r.OK() {
		t.Fatalf("%v %v", r, err)
	}
	all, err := c.Secrets(ctx)
	if err != nil || len(all) != 0 {
		t.Errorf("left in Podman: %v %v", all, err)
	}
	d.stop(t)
	if strings.Contains(d.log.String(), canary) {
		t.Error("the value is in the log")
	}
}
