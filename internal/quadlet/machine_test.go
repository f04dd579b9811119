//go:build machine

package quadlet_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
)

const generator = "/usr/libexec/podman/quadlet"

// The verdicts and the units of every fixture are those of the machine's Podman;
// and we never take what it refuses.
func TestMachineFixturesAgreeWithPodman(t *testing.T) {
	agreed, stricter := 0, 0
	for _, f := range readFixtures(t) {
		t.Run(f.name(), func(t *testing.T) {
			accepts, units, said := f.askPodman(t)
			if want := f.podman == "accepts"; accepts != want {
				t.Fatalf("Podman accepts: %v, the fixture says %v\n%s", accepts, want, said)
			}
			s := quadlet.LoadFilesWith(f.files, f.options)
			if !accepts && len(s.Problems) == 0 {
				t.Fatalf("Podman refuses what we take\n%s", said)
			}
			ours := f.podmans
			if ours == nil {
				for _, u := range s.Units {
					ours = append(ours, u.Service)
				}
			}
			slices.Sort(ours)
			switch {
			case accepts && !slices.Equal(units, ours):
				t.Errorf("Podman makes %q, and we know of %q", units, ours)
			case !accepts && slices.ContainsFunc(units, func(u string) bool { return !slices.Contains(ours, u) }):
				t.Errorf("of what it could read Podman makes %q, and we know of %q", units, ours)
			}
			if agreed++; f.leger != "" {
				agreed--
				stricter++
			}
		})
	}
	t.Logf("%d fixtures judged alike, %d more strictly on purpose", agreed, stricter)
}

// askPodman lays a fixture out and has Podman read it.
func (f *fixture) askPodman(t *testing.T) (accepts bool, units []string, said string) {
	t.Helper()
	config := t.TempDir()
	runner, env := run.New(run.Config{}), run.MinimalEnv(os.LookupEnv)
	dir := filepath.Join(config, "containers", "systemd")
	several := f.hasSeveral()
	if several {
		dir = filepath.Join(config, "app")
	}
	f.layOut(t, dir)
	if several {
		res, err := runner.Run(t.Context(), run.Command{
			Path: "/usr/bin/podman", Args: []string{"quadlet", "install", "--reload-systemd=false", dir},
			Env: append(env, "XDG_CONFIG_HOME="+config),
		})
		if err != nil {
			t.Fatal(err)
		}
		said = string(res.Stderr)
		if res.Code != 0 {
			return false, nil, said
		}
		dir = filepath.Join(config, "containers", "systemd")
	}
	res, err := runner.Run(t.Context(), run.Command{
		Path: generator, Args: []string{"-dryrun", "-user"}, Env: append(env, "QUADLET_UNIT_DIRS="+dir),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^---(\S+)---$`).FindAllStringSubmatch(string(res.Stdout), -1) {
		units = append(units, match[1])
	}
	slices.Sort(units)
	return res.Code == 0, units, said + string(res.Stderr)
}

func (f *fixture) hasSeveral() bool {
	for name := range f.files {
		if filepath.Ext(name) == ".quadlets" {
			return true
		}
	}
	return false
}

func (f *fixture) layOut(t *testing.T, dir string) {
	t.Helper()
	for name, data := range f.files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range f.options.Links {
		if filepath.IsAbs(target) {
			continue // Podman would follow it to whatever is there
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// The table of keys is right for the Podman of the test machine: its generator
// knows every key in it, and does not know one that is not. (The tables of older
// releases were read from their sources.)
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
			Path: generator, Args: []string{"-dryrun", "-user"},
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
