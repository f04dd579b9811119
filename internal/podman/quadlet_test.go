package podman_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
)

// standInPodman does of Podman 5.8.6 what Quadlets rely on, the traps included:
// it installs what it can before it fails, refuses to overwrite, and installs a
// file it will not understand. The contract below holds for it and, on the test machine, for the real one.
const standInPodman = `#!/bin/sh
S=$XDG_CONFIG_HOME/containers/systemd
case "$1 $2" in
"version --format") echo "${STANDIN_VERSION:-5.8.6}" ;;
"quadlet install")
	dir=$4; app=$(basename "$dir"); rc=0; mkdir -p "$S"
	for f in "$dir"/* "$dir"/.[!.]*; do
		[ -e "$f" ] || continue
		n=$(basename "$f")
		if [ -e "$S/$n" ]; then echo "Error: quadlet \"$f\" failed to install: a Quadlet with name $n already exists, refusing to overwrite" >&2; rc=125
		elif [ -d "$f" ]; then echo "Error: is a directory" >&2; rc=125
		else cp "$f" "$S/$n"; echo "$n" >> "$S/.$app.app"; fi
	done
	exit $rc ;;
"volume rm")
	case $4 in gone) exit 1 ;; busy) exit 2 ;; broken) echo "Error: kaputt" >&2; exit 125 ;; esac ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
`

// standIn gives Quadlets that run the stand-in.
func standIn(t *testing.T, env ...string) (q *podman.Quadlets, dir string) {
	t.Helper()
	bin, config := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "podman"), []byte(standInPodman), 0o700); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(config, "containers", "systemd")
	path := bin + ":" + os.Getenv("PATH")
	return podman.NewQuadlets(podman.QuadletConfig{
		Runner: run.New(run.Config{Path: path}), Env: append(env, "PATH="+path, "XDG_CONFIG_HOME="+config), Dir: dir, TempDir: t.TempDir(),
	}), dir
}

func set() map[string][]byte {
	return map[string][]byte{
		"leger-a.container": []byte("[Container]\nImage=localhost/x:1\nEnvironmentFile=.leger-env\n"),
		"leger-v.volume":    []byte("[Volume]\n"), ".leger-env": []byte("A=1\n"),
	}
}

// asFiles makes files of contents; the first of the names may be executed.
func asFiles(contents map[string][]byte) map[string]leger.File {
	files := map[string]leger.File{}
	for name, data := range contents {
		files[name] = leger.File{Data: data, Executable: name == names(contents)[0]}
	}
	return files
}

func names[T any](files map[string]T) []string {
	var all []string
	for name := range files {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// quadletContract is what an application's installation comes to.
func quadletContract(t *testing.T, q *podman.Quadlets, dir string) {
	t.Helper()
	ctx, files := t.Context(), asFiles(set())
	if err := q.Usable(ctx); err != nil {
		t.Fatal(err)
	}
	if err := q.Install(ctx, "leger-app", files); err != nil {
		t.Fatal(err)
	}
	got, err := q.Read(ctx, "leger-app", append(names(files), "leger-none.container"))
	if diff := cmp.Diff(files, got); err != nil || diff != "" {
		t.Errorf("installed: %v -want +got:\n%s", err, diff)
	}
	// A second time, and another application with one of its names.
	if err := q.Install(ctx, "leger-app", files); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("again: %v, want conflict", err)
	}
	other := asFiles(map[string][]byte{"leger-b.container": []byte("[Container]\nImage=localhost/x:1\n"), "leger-v.volume": []byte("[Volume]\nLabel=a=b\n")})
	if err := q.Install(ctx, "leger-other", other); !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "leger-v.volume") {
		t.Errorf("other: %v, want conflict that names leger-v.volume", err)
	}
	if err := q.Remove(ctx, "leger-other", []string{"leger-b.container"}); err != nil {
		t.Error(err)
	}
	// Part of it is gone already, and Podman's own list too.
	if err := os.Remove(filepath.Join(dir, ".leger-app.app")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := q.Remove(ctx, "leger-app", names(files)); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*leger*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if hidden, err := filepath.Glob(filepath.Join(dir, ".leger*")); err != nil || len(hidden) != 0 {
		t.Errorf("left behind: %v", hidden)
	}
}

func TestQuadletContractOfTheStandIn(t *testing.T) {
	t.Parallel()
	q, dir := standIn(t)
	quadletContract(t, q, dir)
}

func TestPodmanTakesFlatDirectoriesOnly(t *testing.T) {
	t.Parallel()
	q, _ := standIn(t)
	if !q.Takes([]string{"a.container", ".env"}) || q.Takes([]string{"a.container", "a.container.d/x.conf"}) {
		t.Error("it is the other way round")
	}
}

func TestAnOldPodmanIsNotUsableForQuadlets(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]*leger.Error{"5.5.2": leger.ErrMissingPart, "4.3.1": leger.ErrMissingPart, "5.6.0": nil, "6.0.0-dev": nil} {
		q, _ := standIn(t, "STANDIN_VERSION="+version)
		if err := q.Usable(t.Context()); (want == nil) != (err == nil) || (want != nil && !errors.Is(err, want)) {
			t.Errorf("%s: %v, want %v", version, err, want)
		}
	}
	none := podman.NewQuadlets(podman.QuadletConfig{Runner: run.New(run.Config{Path: t.TempDir()})})
	if err := none.Usable(t.Context()); !errors.Is(err, leger.ErrMissingPart) {
		t.Errorf("no podman: %v", err)
	}
}

func TestFilesNeverLeaveTheirDirectory(t *testing.T) {
	t.Parallel()
	q, _ := standIn(t)
	for _, name := range []string{"../x.container", "/etc/x.container", "a/../../x"} {
		if err := q.Install(t.Context(), "app", map[string]leger.File{name: {}}); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%s: %v, want invalid_request", name, err)
		}
	}
}

func TestALinkInTheQuadletDirectoryIsNotRead(t *testing.T) {
	t.Parallel()
	q, dir := standIn(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "a.container")); err != nil {
		t.Fatal(err)
	}
	if got, err := q.Read(t.Context(), "app", []string{"a.container"}); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("got %v, %v; want conflict", got, err)
	}
}

func TestRemoveVolume(t *testing.T) {
	t.Parallel()
	q, _ := standIn(t)
	for volume, want := range map[string]leger.Code{"there": "", "gone": "", "busy": leger.CodeConflict, "broken": leger.CodeUnavailable} {
		if err := q.RemoveVolume(t.Context(), volume); leger.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", volume, err, want)
		}
	}
}

// What Podman 5.8.6 printed for a set with three faults, word for word.
const generatorReport = `#!/bin/sh
d=$QUADLET_UNIT_DIRS
[ -e "$d/ok.container" ] && exit 0
{ echo "quadlet-generator[267]: Loading source unit file $d/a.container"
echo "quadlet-generator[267]: error loading \"$d/c.container\", file contains line 1: “garbage” which is not a key-value pair, group, or comment"
echo "quadlet-generator[267]: Warning: d.container specifies the image \"x:1\" which not a fully qualified image name."
echo "quadlet-generator[267]: converting \"d.container\": unsupported key 'Bad' in group 'Container' in $d/sub/d.container"
echo "quadlet-generator[267]: processing encountered some errors"; } >&2
exit 1
`

func TestTheGeneratorsComplaintsAreProblems(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	generator := filepath.Join(bin, "quadlet")
	if err := os.WriteFile(generator, []byte(generatorReport), 0o700); err != nil {
		t.Fatal(err)
	}
	q := podman.NewQuadlets(podman.QuadletConfig{
		Runner: run.New(run.Config{}), Env: []string{"PATH=/usr/bin:/bin"}, Generators: []string{"/none/quadlet", generator}, TempDir: t.TempDir(),
	})
	got, err := q.Check(t.Context(), map[string][]byte{"a.container": nil, "c.container": nil, "sub/d.container": nil})
	want := []leger.Problem{
		{File: "c.container", Line: 1, Message: "Podman: file contains line 1: “garbage” which is not a key-value pair, group, or comment"},
		{File: "sub/d.container", Message: "Podman: unsupported key 'Bad' in group 'Container' in sub/d.container"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	if got, err := q.Check(t.Context(), map[string][]byte{"ok.container": nil}); err != nil || got != nil {
		t.Errorf("without faults: %v, %v", got, err)
	}
	none := podman.NewQuadlets(podman.QuadletConfig{Runner: run.New(run.Config{}), Generators: []string{"/none/quadlet"}})
	if _, err := none.Check(t.Context(), nil); !errors.Is(err, leger.ErrMissingPart) {
		t.Errorf("no generator: %v", err)
	}
}
