package deploy_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

// dataOfApp is where the release App was read for; only the tests' quadlets hold it.
const dataOfApp = "/var/data/app"

// writing is a release whose container may write ./data, with files.
func writing(t testing.TB, commit string, pairs ...string) deploy.Request {
	t.Helper()
	req := request(t, "App", commit)
	files := map[string][]byte{"web.container": []byte("[Container]\nImage=x:1\nVolume=./data:/data\nVolume=./more:/more\nVolume=./none:/none\n")}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = []byte(pairs[i+1])
	}
	req.Set = quadlet.LoadFilesWith(files, quadlet.Options{Data: dataOfApp})
	return req
}

// data gives the content of what is in the data directory of App, by path.
func (m *machine) data(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(m.running()) {
		if name, _, ok := strings.Cut(line, " holds "); ok {
			data, err := os.ReadFile(filepath.Join(m.dataDir, name))
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimPrefix(name, "/app/")] = string(data)
		}
	}
	return all
}

// write is what a container does to its data.
func (m *machine) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dataDir, "app", name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a container may write lies outside of where Podman looks for quadlets.
// Git's files are put there once, and what its container changes is the
// container's.
func TestDataIsTheContainers(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	mustInstall(t, e, writing(t, "c1", "data/config", "1", "data/seed", "1", "data/gone", "1", "data/old", "1"))
	for file := range m.files {
		if strings.Contains(file, "/data/") {
			t.Errorf("%s is among the quadlets", file)
		}
	}
	if drop := m.files["/q/app/web.container.d/zz-leger-data.conf"]; !strings.Contains(drop, "Volume="+dataOfApp+"/data:/data\n") {
		t.Errorf("the drop-in is %q", drop)
	}
	for _, dir := range []string{"data", "more", "none"} {
		if info, err := os.Stat(filepath.Join(m.dataDir, "app", dir)); err != nil || !info.IsDir() {
			t.Errorf("the directory %s: %v", dir, err)
		}
	}
	if out := mustInstall(t, e, writing(t, "c1", "data/config", "1", "data/seed", "1", "data/gone", "1", "data/old", "1")); !out.Unchanged {
		t.Errorf("again: %+v", out)
	}

	m.write(t, "data/config", "the container's")
	m.write(t, "data/db", "precious")
	if err := os.Remove(filepath.Join(m.dataDir, "app", "data", "gone")); err != nil {
		t.Fatal(err)
	}
	if d, err := e.Status(t.Context(), releaseName(t, "App")); err != nil || len(d.Drift) != 0 {
		t.Errorf("what a container does to its data is drift: %+v, %v", d.Drift, err)
	}
	next := writing(t, "c2", "data/config", "2", "data/seed", "2", "data/gone", "2")
	plan, err := e.Prepare(t.Context(), next)
	if err != nil || !slices.Equal(plan.Kept, []string{"data/config", "data/gone"}) {
		t.Errorf("kept %q, %v", plan.Kept, err)
	}
	mustInstall(t, e, next)
	want := map[string]string{"data/config": "the container's", "data/seed": "2", "data/db": "precious"}
	if diff := cmp.Diff(want, m.data(t)); diff != "" {
		t.Errorf("after an update: -want +got:\n%s", diff)
	}
	if _, err := rollback(t.Context(), t, e, 1); err != nil {
		t.Fatal(err)
	}
	want["data/seed"], want["data/old"] = "1", "1"
	if diff := cmp.Diff(want, m.data(t)); diff != "" {
		t.Errorf("after going back: -want +got:\n%s", diff)
	}

	removed, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{}, nil)
	if err != nil || !slices.Equal(removed.KeptData, []string{filepath.Join(m.dataDir, "app")}) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if diff := cmp.Diff(map[string]string{"data/config": "the container's", "data/db": "precious"}, m.data(t)); diff != "" {
		t.Errorf("after the removal: -want +got:\n%s", diff)
	}
	// It is found again by the next installation.
	mustInstall(t, e, next)
	if got := m.data(t); got["data/db"] != "precious" || got["data/config"] != "the container's" || got["data/seed"] != "2" {
		t.Errorf("installed again: %v", got)
	}
}

// A first installation that fails leaves nothing of its own, and nothing is lost
// that a container has written meanwhile.
func TestAFailedFirstInstallKeepsWhatWasWritten(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	m.broken["web.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code"}
	if _, err := install(t.Context(), e, writing(t, "c1", "data/seed", "1")); !errors.Is(err, leger.ErrUnhealthy) {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(m.dataDir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A container that may write a directory can make links in it. Leger writes through
// none of them.
func TestDataIsNotWrittenThroughLinks(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	mustInstall(t, e, writing(t, "c1", "data/sub/seed", "1"))
	outside := t.TempDir()
	sub := filepath.Join(m.dataDir, "app", "data", "sub")
	if err := errors.Join(os.RemoveAll(sub), os.Symlink(outside, sub)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "seed"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := install(t.Context(), e, writing(t, "c2", "data/sub/seed", "2", "data/sub/other", "2"))
	if data, _ := os.ReadFile(filepath.Join(outside, "seed")); string(data) != "1" {
		t.Errorf("it was written outside: %q (%v)", data, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "other")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was written outside: %v", err)
	}
}

// What containers wrote while their data lay among the quadlets is not left behind:
// the update waits until it is moved.
func TestFormerDataIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	m, dir, root := newMachine(), t.TempDir(), t.TempDir()
	m.dataDir = t.TempDir()
	e := deploy.New(deploy.Config{
		StateDir: dir, DataDir: m.dataDir, Installers: []deploy.Installer{placed{installer{m, "directory", false}, root}}, Units: m, Clock: m,
	})
	mustInstall(t, e, request(t, "App", "c1", "web.container", plainV1))
	db := filepath.Join(root, "app", "data", "db")
	if err := errors.Join(os.MkdirAll(filepath.Dir(db), 0o700), os.WriteFile(db, []byte("precious"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := install(t.Context(), e, writing(t, "c2", "data/seed", "1"))
	if !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), filepath.Dir(db)) {
		t.Fatalf("got %v, want conflict", err)
	}
	to := filepath.Join(m.dataDir, "app", "data")
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.Rename(filepath.Dir(db), to)); err != nil {
		t.Fatal(err)
	}
	mustInstall(t, e, writing(t, "c2", "data/seed", "1"))
	if diff := cmp.Diff(map[string]string{"data/db": "precious", "data/seed": "1"}, m.data(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// placed is an installer whose directory "data" lies on the disk.
type placed struct {
	installer
	root string
}

func (p placed) Path(app, file string) string {
	if file == "data" || strings.HasPrefix(file, "data/") {
		return filepath.Join(p.root, app, file)
	}
	return p.installer.Path(app, file)
}

// A set that was read without a data directory is refused: nothing moves its mounts.
func TestWritesBesideTheQuadletsAreRefused(t *testing.T) {
	t.Parallel()
	m := newMachine()
	_, err := install(t.Context(), m.engine(t.TempDir()), request(t, "App", "c", "web.container", plainV1+"Volume=./data:/data\n", "data/x", "x"))
	if !errors.Is(err, leger.ErrInvalid) || !strings.Contains(err.Error(), "web.container:3: Volume=./data:/data lets a container write") {
		t.Errorf("got %v, want invalid", err)
	}
}
