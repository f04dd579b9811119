package deploy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/safefile"
)

// scripted is a release with a script, of which those named may be executed.
func scripted(t testing.TB, commit string, executable ...string) deploy.Request {
	t.Helper()
	req := request(t, "App", commit)
	modes := map[string]bool{}
	for _, name := range executable {
		modes[name] = true
	}
	req.Set = quadlet.LoadFilesWith(map[string][]byte{
		"web.container": []byte("[Container]\nImage=x:1\nVolume=./run.sh:/run.sh:ro\n"), "run.sh": []byte("#!/bin/sh\n"),
	}, quadlet.Options{Executable: modes})
	return req
}

// The story: Git's executable bit was dropped, and a container whose entry point is
// a mounted script ended with "permission denied".
func TestExecutableBitsArrive(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	mustInstall(t, e, scripted(t, "c1", "run.sh"))
	if !m.execs["/q/app/run.sh"] || m.execs["/q/app/web.container"] {
		t.Fatalf("executable are %v", m.execs)
	}
	if out := mustInstall(t, e, scripted(t, "c1", "run.sh")); !out.Unchanged {
		t.Errorf("again: %+v", out)
	}

	// Somebody takes it away: that is drift, and the next install repairs it.
	m.execs["/q/app/run.sh"] = false
	d, err := e.Status(t.Context(), releaseName(t, "App"))
	if err != nil || len(d.Drift) != 1 || d.Drift[0].Path != "run.sh" || d.Drift[0].Action != deploy.Change {
		t.Errorf("drift %+v, %v", d.Drift, err)
	}
	mustInstall(t, e, scripted(t, "c1", "run.sh"))
	if !m.execs["/q/app/run.sh"] {
		t.Error("it is not executable again")
	}

	// A commit that changes nothing but the mode is a change, shown as one, and the
	// unit that mounts the script starts again.
	plan, err := e.Prepare(t.Context(), scripted(t, "c2"))
	if err != nil || len(plan.Files) != 1 || !strings.HasPrefix(plan.Files[0].Diff, "executable → not executable") || len(plan.Start) != 1 {
		t.Errorf("plan %+v, starts %v, %v", plan.Files, plan.Start, err)
	}
	mustInstall(t, e, scripted(t, "c2"))
	if m.execs["/q/app/run.sh"] {
		t.Error("it is still executable")
	}
	// Generations keep it.
	if _, err := rollback(t.Context(), t, e, 1); err != nil || !m.execs["/q/app/run.sh"] {
		t.Errorf("after going back: %v, %v", m.execs, err)
	}
}

// The story: two applications of one repository each had an .env, and the second
// could not be installed.
func TestTwoReleasesMayHaveFilesOfOneName(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	one := func(release, unit, env string) deploy.Request {
		return request(t, release, "c", unit+".container", "[Container]\nImage=x:1\nEnvironmentFile=.env\n", ".env", env)
	}
	mustInstall(t, e, one("One", "a", "A=1\n"))
	mustInstall(t, e, one("Two", "b", "A=2\n"))
	want := "/q/one/.env is \"A=1\\n\"\n/q/two/.env is \"A=2\\n\""
	if diff := cmp.Diff(want, strings.Join(linesWith(m.running(), ".env"), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// Quadlets alone go through Podman.
	if out := mustInstall(t, e, request(t, "Plain", "c", "p.container", plainV1)); out.Generation.Installer != "podman" {
		t.Errorf("installed by %s", out.Generation.Installer)
	}
	// Of two quadlets of one name Podman takes one, in whatever directories they are.
	_, err := install(t.Context(), e, request(t, "Three", "c", "a.container", "[Container]\nImage=x:1\nServiceName=other\nEnvironmentFile=.env\n", ".env", ""))
	if !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "a.container: the release One has installed a file of this name") {
		t.Errorf("a quadlet of the same name: %v", err)
	}
}

// A release that was installed beside the others stays there, until one of its
// files would be another's.
func TestAReleaseMovesToItsOwnDirectoryWhenItMust(t *testing.T) {
	t.Parallel()
	m, dir := newMachine(), t.TempDir()
	// As an earlier version of Leger chose: all with Podman.
	before := deploy.New(deploy.Config{StateDir: dir, Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Clock: m})
	one := request(t, "One", "c1", "a.container", "[Container]\nImage=x:1\nEnvironmentFile=.env\n", ".env", "A=1\n")
	mustInstall(t, before, one)
	mustInstall(t, before, request(t, "Two", "c1", "b.container", plainV1))
	e := m.engine(dir)
	if out := mustInstall(t, e, one); !out.Unchanged {
		t.Errorf("it is moved without need: %+v", out)
	}
	out := mustInstall(t, e, request(t, "Two", "c2", "b.container", "[Container]\nImage=x:1\nEnvironmentFile=.env\n", ".env", "A=2\n"))
	if out.Generation.Installer != "directory" || m.files["/q/.env"] != "A=1\n" || m.files["/q/two/.env"] != "A=2\n" || m.files["/q/b.container"] != "" {
		t.Errorf("installed by %s: %v", out.Generation.Installer, m.files)
	}
}

func linesWith(text, part string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
	}
	return all
}

// The installer that needs nothing but a directory, on a real one.
func TestDirectoryKeepsModes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := deploy.NewDirectory(root, safefile.Disk{})
	files := map[string]leger.File{
		"web.container": {Data: []byte("x")}, "bin/run.sh": {Data: []byte("y"), Executable: true},
	}
	if err := d.Install(t.Context(), "app", files); err != nil {
		t.Fatal(err)
	}
	got, err := d.Read(t.Context(), "app", []string{"web.container", "bin/run.sh", "none"})
	if diff := cmp.Diff(files, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	for name, want := range map[string]os.FileMode{"web.container": 0o644, "bin/run.sh": 0o755} {
		info, err := os.Stat(filepath.Join(root, "app.leger", name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := d.Remove(t.Context(), "app", []string{"web.container", "bin/run.sh"}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A tree of git can have an entry "." or "..": what came so far is still not written.
func TestOnlyFilesBelowTheDirectoryAreInstalled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "/etc/x", "../x", "a/..", "./a"} {
		root := t.TempDir()
		err := deploy.NewDirectory(filepath.Join(root, "in"), safefile.Disk{}).Install(t.Context(), "app", map[string]leger.File{name: {Data: []byte("x")}})
		if !errors.Is(err, leger.ErrInvalid) || !strings.Contains(err.Error(), "not a file below") {
			t.Errorf("%q: %v", name, err)
		}
		if left, err := filepath.Glob(filepath.Join(root, "*")); err != nil || len(left) > 0 {
			t.Errorf("%q: wrote %v, %v", name, left, err)
		}
	}
}
