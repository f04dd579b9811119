//go:build machine

package podman_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
)

// These run inside the test machine, as its user, one after the other: there is
// one Podman.

func runner(t *testing.T, path string) (*run.Runner, []string) {
	t.Helper()
	return run.New(run.Config{Path: path}), run.MinimalEnv(os.LookupEnv)
}

func TestMachineContractOverTheSocket(t *testing.T) {
	r, env := runner(t, os.Getenv("PATH"))
	// The unit is stopped: the client has to ask systemd for it. systemd stops only
	// what it has loaded, so it is started first.
	for _, verb := range []string{"start", "stop"} {
		res, err := r.Run(t.Context(), run.Command{Path: "systemctl", Args: []string{"--user", verb, "podman.socket"}, Env: env})
		if err != nil || res.Code != 0 {
			t.Fatalf("%s podman.socket: %v %s", verb, err, res.Stderr)
		}
	}
	contract(t, client(t, podman.Config{RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Runner: r, Env: env}))
}

// onlyPodman is a PATH without systemctl.
func onlyPodman(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	full, err := exec.LookPath("podman")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(full, filepath.Join(dir, "podman")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMachineContractOverOurOwnService(t *testing.T) {
	r, env := runner(t, onlyPodman(t))
	dir := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "leger-test-service")
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	contract(t, client(t, podman.Config{RuntimeDir: dir, Runner: r, Env: env}))
}

func TestMachineContractOverTheProgram(t *testing.T) {
	r, env := runner(t, onlyPodman(t))
	contract(t, client(t, podman.Config{Runner: r, Env: env}))
}

// The value arrives byte for byte, newlines and all.
func TestMachineValueArrives(t *testing.T) {
	r, env := runner(t, os.Getenv("PATH"))
	const value = "line 1\nline 2 = é\n"
	for way, cfg := range map[string]podman.Config{
		"socket":  {RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Runner: r, Env: env},
		"program": {Runner: r, Env: env},
	} {
		c := client(t, cfg)
		n := name(t, "leger_contract_value")
		if err := c.CreateSecret(t.Context(), n, leger.NewPlaintext([]byte(value)), nil, true); err != nil {
			t.Fatal(err)
		}
		res, err := r.Run(t.Context(), run.Command{
			Path: "podman", Env: env,
			Args: []string{"secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", n.String()},
		})
		if err != nil || res.Code != 0 {
			t.Fatalf("inspect: %v %s", err, res.Stderr)
		}
		if got := strings.TrimSuffix(string(res.Stdout), "\n"); got != value {
			t.Errorf("%s: got %q, want %q", way, got, value)
		}
		s, err := c.SecretInfo(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.RemoveSecret(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// A deployment quotes what the health check that failed has printed.
func TestMachineHealthOutput(t *testing.T) {
	r, env := runner(t, os.Getenv("PATH"))
	const container = "leger-contract-health"
	podmanDo := func(args ...string) run.Result {
		t.Helper()
		res, err := r.Run(context.WithoutCancel(t.Context()), run.Command{Path: "podman", Args: args, Env: env})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	t.Cleanup(func() { podmanDo("rm", "--force", "--time=0", container) })
	if res := podmanDo("run", "--detach", "--name="+container, "--network=none", `--health-cmd=["/leger-e2e", "get"]`,
		"--health-interval=disable", "localhost/leger-e2e:latest", "serve", "-unhealthy"); res.Code != 0 {
		t.Fatalf("run: %s", res.Stderr)
	}
	ways := map[string]*podman.Client{
		"socket":  client(t, podman.Config{RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Runner: r, Env: env}),
		"program": client(t, podman.Config{Runner: r, Env: env}),
	}
	said := func(way string) string {
		t.Helper()
		text, err := ways[way].HealthOutput(t.Context(), container)
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		return text
	}
	for way := range ways {
		if text := said(way); text != "" {
			t.Errorf("%s: before the first check: %q", way, text)
		}
	}
	const want = "unhealthy, as asked"
	for deadline := time.Now().Add(time.Minute); ; { // its server may not listen yet
		if res := podmanDo("healthcheck", "run", container); res.Code == 0 {
			t.Fatal("it is healthy")
		}
		if strings.Contains(said("program"), want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it says %q, want %q", said("program"), want)
		}
	}
	if text := said("socket"); !strings.Contains(text, want) {
		t.Errorf("over the socket it says %q, want %q", text, want)
	}
}

func TestMachineHundredSecrets(t *testing.T) {
	r, env := runner(t, os.Getenv("PATH"))
	c := client(t, podman.Config{RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Runner: r, Env: env})
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for i := range 100 {
		n := name(t, fmt.Sprintf("leger_contract_many_%d", i))
		if err := c.CreateSecret(t.Context(), n, text("value"), map[string]string{"run.leger.version": "1"}, false); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("100 creates: %v", time.Since(begun))
	begun = time.Now()
	all, err := c.Secrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("list of %d: %v", len(all), time.Since(begun))
	begun = time.Now()
	removed := 0
	for _, s := range all {
		if strings.HasPrefix(s.Name, "leger_contract_many_") {
			if err := c.RemoveSecret(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
			removed++
		}
	}
	t.Logf("%d removals: %v", removed, time.Since(begun))
	if removed != 100 {
		t.Errorf("removed %d of 100", removed)
	}
}
