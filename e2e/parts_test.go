//go:build e2e

package e2e_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// TestRealParts runs the tests that adapters have for their real counterparts
// (build tag machine) on a machine that has them: they hold what stands in for
// Podman and systemd in the quick tests to the same contracts.
func TestRealParts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"podman", "systemd", "quadlet", "deploy", "daemon"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			binary := filepath.Join(t.TempDir(), name+".test")
			build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "machine", "-o", binary, "leger.run/leger/internal/"+name)
			build.Env = append(build.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			m := rig.Boot(t)
			m.BuildImage(ctx)
			m.AddPrograms(binary)
			dir := rig.Home + "/" + name
			m.WriteTree(ctx, dir, map[string]string{".keep": ""})
			got := m.Run(ctx, rig.Opts{Dir: dir}, name+".test", "-test.v", "-test.run", "^TestMachine")
			if got.Code != 0 || !strings.Contains(got.Stdout, "--- PASS: TestMachine") || strings.Contains(got.Stdout, "--- SKIP") {
				t.Fatalf("%s", got)
			}
			for line := range strings.Lines(got.Stdout) {
				if strings.HasPrefix(line, "---") || strings.Contains(line, "machine_test.go:") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
