package podman_test

import (
	"os"
	"path/filepath"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
)

// What the newest health check printed, over the socket and by the program. The real
// Podman is asked in TestMachineHealthOutput.
func TestHealthOutput(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	c := client(t, podman.Config{Socket: fake.Socket})
	said := func(c *podman.Client, container, want string) {
		t.Helper()
		if got, err := c.HealthOutput(t.Context(), container); err != nil || got != want {
			t.Errorf("%s says %q, %v; want %q", container, got, err, want)
		}
	}
	fake.Run("web", "web.service", "unhealthy")
	said(c, "web", "")
	fake.Check("web", "first")
	fake.Check("web", "503 not today\n")
	said(c, "web", "503 not today\n")
	said(c, "none", "")
	fake.Break(1)
	_, err := c.HealthOutput(t.Context(), "web")
	wantCode(t, err, leger.ErrUnavailable)

	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "podman"), []byte(`#!/bin/sh
case "$*" in
"version "*) echo 5.8.6 ;;
"container inspect -- web") printf %s '[{"State":{"Health":{"Log":[{"Output":"first"},{"Output":"503 not today\n"}]}}}]' ;;
"container inspect -- quiet") echo '[{"State":{"Health":{"Log":null}}}]' ;;
"container inspect -- odd") echo '[]' ;;
*) echo "Error: no such container" >&2; exit 125 ;;
esac
`), 0o700); err != nil {
		t.Fatal(err)
	}
	p := client(t, podman.Config{Runner: run.New(run.Config{Path: bin + ":" + os.Getenv("PATH")})})
	said(p, "web", "503 not today\n")
	said(p, "quiet", "")
	said(p, "none", "")
	_, err = p.HealthOutput(t.Context(), "odd")
	wantCode(t, err, leger.ErrUnavailable)
}
