//go:build e2e

package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// TestRealParts runs the tests that adapters have for their real counterparts
// (build tag machine) on a machine that has them: they hold what stands in for
// Podman and systemd in the quick tests to the same contracts. "make
// fuzz-generator" has the quadlets composed for longer.
func TestRealParts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"podman", "systemd", "quadlet", "deploy", "daemon"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-test.v", "-test.run", "^TestMachine"}
			limit := 20 * time.Minute // deploy is killed after every step, and started again
			if long, err := time.ParseDuration(os.Getenv("LEGER_FUZZ_FOR")); err == nil && name == "quadlet" {
				args = append(args, "-fuzz.for", long.String(), "-fuzz.seed", os.Getenv("LEGER_FUZZ_SEED"))
				limit += long
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
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
			got := m.Run(ctx, rig.Opts{Dir: dir}, name+".test", args...)
			if got.Code != 0 || !strings.Contains(got.Stdout, "--- PASS: TestMachine") || strings.Contains(got.Stdout, "--- SKIP") {
				t.Fatalf("%s", got)
			}
			for line := range strings.Lines(got.Stdout) {
				if strings.HasPrefix(line, "---") || strings.Contains(line, "_test.go:") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
