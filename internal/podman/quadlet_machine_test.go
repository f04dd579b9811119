//go:build machine

package podman_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
)

func realQuadlets(t *testing.T) (q *podman.Quadlets, dir string) {
	t.Helper()
	dir = filepath.Join(os.Getenv("HOME"), ".config", "containers", "systemd")
	return podman.NewQuadlets(podman.QuadletConfig{
		Runner: run.New(run.Config{}), Env: run.MinimalEnv(os.LookupEnv), Dir: dir, TempDir: t.TempDir(),
	}), dir
}

func TestMachineQuadletContract(t *testing.T) {
	q, dir := realQuadlets(t)
	quadletContract(t, q, dir)
}

func TestMachineTheGeneratorChecks(t *testing.T) {
	q, _ := realQuadlets(t)
	files := set()
	if problems, err := q.Check(t.Context(), files); err != nil || len(problems) != 0 {
		t.Errorf("a good set: %v, %v", problems, err)
	}
	files["sub/bad.container"] = []byte("[Container]\nImage=localhost/x:1\n")
	files["bad.container.d/x.conf"] = []byte("[Container]\nBad=1\n")
	files["dangling.container"] = []byte("[Container]\nImage=localhost/x:1\nNetwork=none.network\n")
	problems, err := q.Check(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	for file, word := range map[string]string{"sub/bad.container": "'Bad'", "dangling.container": "none.network"} {
		if !slices.ContainsFunc(problems, func(p leger.Problem) bool { return p.File == file && strings.Contains(p.Message, word) }) {
			t.Errorf("no problem of %s with %s in %+v", file, word, problems)
		}
	}
	problems, err = q.Check(t.Context(), map[string][]byte{"c.container": []byte("[Container]\ngarbage\n")})
	if err != nil || len(problems) != 1 || problems[0].File != "c.container" || problems[0].Line != 2 {
		t.Errorf("an unreadable file: %+v, %v", problems, err)
	}
}

func TestMachineRemoveVolume(t *testing.T) {
	q, _ := realQuadlets(t)
	r, env := runner(t, os.Getenv("PATH"))
	res, err := r.Run(t.Context(), run.Command{Path: "podman", Args: []string{"volume", "create", "leger-vol"}, Env: env})
	if err != nil || res.Code != 0 {
		t.Fatalf("%v %s", err, res.Stderr)
	}
	for range 2 {
		if err := q.RemoveVolume(t.Context(), "leger-vol"); err != nil {
			t.Error(err)
		}
	}
}
