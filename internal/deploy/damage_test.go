package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

// spoil breaks a file of the records.
func spoil(t *testing.T, parts ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(parts...), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The story: one byte of one release's record was wrong, and neither could any
// release be listed, installed or updated, nor that one be removed.
func TestADamagedRecordBlocksNoOther(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"current.json", "pending.json", "generations/1/manifest.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			m, dir := newMachine("key"), t.TempDir()
			e := m.engine(dir)
			mustInstall(t, e, request(t, "Bad", "c", "bad.container", plainV1))
			mustInstall(t, e, request(t, "Good", "c", "good.container", plainV1))
			spoil(t, dir, "bad", file)

			all, err := e.List(t.Context())
			if err != nil || len(all) != 2 || all[0].Damage == nil || all[0].Healthy() || all[1].Damage != nil || !all[1].Healthy() {
				t.Fatalf("list %+v, %v", all, err)
			}
			if _, _, err := e.Find(t.Context(), "good.service"); err != nil {
				t.Errorf("find a unit: %v", err)
			}
			mustInstall(t, e, request(t, "Good", "c2", "good.container", plainV2))
			mustInstall(t, e, request(t, "New", "c", "new.container", plainV1))
			// What the damaged one has is still not anybody's to take.
			if _, err := install(t.Context(), e, request(t, "Thief", "c", "bad.container", plainV1)); !errors.Is(err, leger.ErrConflict) {
				t.Errorf("another's file: %v, want conflict", err)
			}

			removed, err := e.Remove(t.Context(), releaseName(t, "Bad"), deploy.RemoveOptions{}, nil)
			if err != nil || removed.Damage == nil || !slices.Equal(removed.Units, []string{"bad.service"}) {
				t.Errorf("removed %+v, %v", removed, err)
			}
			if got := m.running(); strings.Contains(got, "bad") || !strings.Contains(got, "good.service runs") {
				t.Errorf("after the removal:\n%s", got)
			}
			if _, err := e.Status(t.Context(), releaseName(t, "Bad")); !errors.Is(err, leger.ErrNotFound) {
				t.Errorf("status after the removal: %v", err)
			}
			mustInstall(t, e, request(t, "Bad", "c", "bad.container", plainV1))
		})
	}
}

// Of a damaged record only what is on disk as it says is removed: an older
// generation had a file that is somebody else's now.
func TestRemovingADamagedReleaseLeavesOthersFiles(t *testing.T) {
	t.Parallel()
	m, dir := newMachine("key"), t.TempDir()
	e := m.engine(dir)
	mustInstall(t, e, request(t, "Bad", "c1", "bad.container", plainV1, "old.container", plainV1))
	mustInstall(t, e, request(t, "Bad", "c2", "bad.container", plainV1))
	mustInstall(t, e, request(t, "Good", "c", "old.container", plainV2))
	spoil(t, dir, "bad", "current.json")
	if _, err := e.Remove(t.Context(), releaseName(t, "Bad"), deploy.RemoveOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	want := "/q/old.container is " + hashOf(plainV2) + "\nold.service runs " + hashOf(plainV2)
	if got := m.running(); got != want {
		t.Errorf("left:\n%s\nwant:\n%s", got, want)
	}
}

// The removal of old generations was cut off in the middle of one of them, and no
// generation could be gone back to or listed any more.
func TestAPruneThatIsCutOffLeavesTheOthersUsable(t *testing.T) {
	t.Parallel()
	m, dir := newMachine("key"), t.TempDir()
	e := m.engine(dir)
	for n := 1; n <= 3; n++ {
		mustInstall(t, e, request(t, "App", fmt.Sprint("c", n), "web.container", plainV1+fmt.Sprintf("# %d\n", n)))
	}
	generations := filepath.Join(dir, "app", "generations")
	// As an earlier version of Leger left it: some of its files are gone.
	if err := os.Remove(filepath.Join(generations, "1", "manifest.json")); err != nil {
		t.Fatal(err)
	}
	// As this one leaves it.
	if err := os.MkdirAll(filepath.Join(generations, ".gone-9", "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, current, err := e.Generations(releaseName(t, "App"))
	if err != nil || current != 3 || len(all) != 2 || all[0].Number != 2 {
		t.Fatalf("generations %+v, current %d, %v", all, current, err)
	}
	if _, err := rollback(t.Context(), t, e, 2); err != nil {
		t.Fatal(err)
	}
	if d, err := e.Status(t.Context(), releaseName(t, "App")); err != nil || !d.Healthy() || d.Generation.Number != 2 {
		t.Errorf("status %+v, %v", d, err)
	}
	if left, err := filepath.Glob(filepath.Join(generations, ".*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// The story: remove --volumes deleted the database of another release that had been
// given the same volume.
func TestRemoveWithVolumesLeavesThoseOfOthers(t *testing.T) {
	t.Parallel()
	m, dir := newMachine(), t.TempDir()
	e := m.engine(dir)
	mustInstall(t, e, request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nVolume=shared:/c\nVolume=data.volume:/d\n", "data.volume", volume))
	mustInstall(t, e, request(t, "Other", "c", "b.container", "[Container]\nImage=x:1\nVolume=shared:/c\nVolume=systemd-data:/d\n"))
	m.volumes["shared"], m.volumes["systemd-data"] = true, true

	spoil(t, dir, "other", "current.json") // what it names is still known
	removed, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{Volumes: true}, nil)
	want := []deploy.KeptVolume{{Volume: "shared", Release: "Other"}, {Volume: "systemd-data", Release: "Other"}}
	if err != nil || len(removed.Volumes) != 0 || !slices.Equal(removed.SharedVolumes, want) || !m.volumes["shared"] || !m.volumes["systemd-data"] {
		t.Errorf("removed %+v, %v; volumes %v", removed, err, m.volumes)
	}

	// Nothing is known of what the other one names: nothing is removed.
	mustInstall(t, e, request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nVolume=mine:/c\n"))
	m.volumes["mine"] = true
	if err := os.RemoveAll(filepath.Join(dir, "other", "generations")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{Volumes: true}, nil); !errors.Is(err, leger.ErrConflict) || !m.volumes["mine"] {
		t.Errorf("with an unreadable record: %v", err)
	}
	if _, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{}, nil); err != nil {
		t.Errorf("without --volumes: %v", err)
	}
}

// Another release has the volume as an argument for Podman, as a claim, or by a name
// that systemd makes: its data stays, and the reason is told. Nothing else is kept.
func TestRemoveWithVolumesLeavesWhatOthersMayMean(t *testing.T) {
	t.Parallel()
	const container = "[Container]\nImage=x:1\n"
	for what, tc := range map[string]struct {
		other []string
		kept  bool
		doubt string
	}{
		"an argument":    {[]string{"b.container", container + "PodmanArgs=-v cache:/x\n"}, true, ""},
		"a claim":        {[]string{"b.kube", "[Kube]\nYaml=b.yaml\n", "b.yaml", "spec: {volumes: [{persistentVolumeClaim: {claimName: cache}}]}\n"}, true, ""},
		"a specifier":    {[]string{"b.container", container + "Volume=%H:/x\n"}, true, "what %H in b.container names is known to the machine alone"},
		"others of its":  {[]string{"b.container", container + "Volume=theirs:/x\nPodmanArgs=-v web-%H:/y\n"}, false, ""},
		"damaged record": {[]string{"b.container", container}, true, "its recorded files cannot be read"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m, dir := newMachine(), t.TempDir()
			e := m.engine(dir)
			mustInstall(t, e, request(t, "App", "c", "a.container", container+"Volume=cache:/c\n"))
			mustInstall(t, e, request(t, "Other", "c", tc.other...))
			if what == "damaged record" {
				spoil(t, dir, "other", filepath.Join("generations", "1", "files", "b.container"))
			}
			m.volumes["cache"] = true
			removed, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{Volumes: true}, nil)
			var want []deploy.KeptVolume
			if tc.kept {
				want = []deploy.KeptVolume{{Volume: "cache", Release: "Other", Doubt: tc.doubt}}
			}
			if err != nil || m.volumes["cache"] != tc.kept || !slices.Equal(removed.SharedVolumes, want) {
				t.Errorf("removed %+v, %v; volumes %v", removed, err, m.volumes)
			}
		})
	}
}

const (
	plainV1 = "[Container]\nImage=x:1\n"
	plainV2 = plainV1 + "Label=a=b\n"
)
