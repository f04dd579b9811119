//go:build machine

package quadlet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
)

// The table of keys is right for the Podman of the test machine: its generator
// knows every key in it, and does not know one that is not.
func TestMachineKeysAreThoseOfPodman(t *testing.T) {
	runner, dir := run.New(run.Config{}), t.TempDir()
	knows := func(section, ext, key string) bool {
		t.Helper()
		file := filepath.Join(dir, "a."+ext)
		if err := os.WriteFile(file, []byte("["+section+"]\n"+key+"=x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Remove(file) }()
		res, err := runner.Run(t.Context(), run.Command{
			Path: "/usr/libexec/podman/quadlet", Args: []string{"-dryrun", "-user"},
			Env: append(run.MinimalEnv(os.LookupEnv), "QUADLET_UNIT_DIRS="+dir),
		})
		if err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(string(res.Stderr), "unsupported key")
	}
	sections := map[string]string{"Quadlet": "container"}
	for _, kind := range quadlet.Kinds() {
		sections[kind.Section()] = string(kind)
	}
	for section, ext := range sections {
		keys, ok := quadlet.Keys(section)
		if !ok || len(keys) == 0 {
			t.Fatalf("[%s] has no keys", section)
		}
		for _, key := range keys {
			if !knows(section, ext, key) {
				t.Errorf("Podman does not know %s in [%s]", key, section)
			}
		}
		if knows(section, ext, "NoSuchKey") {
			t.Errorf("Podman takes anything in [%s]", section)
		}
	}
}
