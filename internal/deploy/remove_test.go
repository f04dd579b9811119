package deploy_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

func TestRemoveKeepsVolumesAndSaysSo(t *testing.T) {
	t.Parallel()
	m, dir := newMachine("key"), t.TempDir()
	e := m.engine(dir)
	if _, err := install(t.Context(), e, request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nVolume=cache:/c\nNetwork=n.network\nVolume=data.volume:/d\n", "data.volume", volume, "n.network", "[Network]\n")); err != nil {
		t.Fatal(err)
	}
	removed, err := e.Remove(t.Context(), releaseName(t, "APP"), deploy.RemoveOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(removed.KeptVolumes, []string{"cache", "systemd-data"}) || !slices.Equal(removed.KeptNetworks, []string{"systemd-n"}) ||
		!slices.Equal(removed.Files, []string{"/q/a.container", "/q/data.volume", "/q/n.network"}) || removed.Units[0] != "a.service" {
		t.Errorf("removed %+v", removed)
	}
	if got := m.running(); got != "" {
		t.Errorf("left behind:\n%s", got)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "app")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("records are left: %v", left)
	}
	if _, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{}, nil); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("again: %v, want not_found", err)
	}
}

// The story: an image that is mounted was told as a volume that stays, and a volume
// with a dot in its name was not.
func TestVolumesAreWhatPodmanMakes(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	web := "[Container]\nImage=x:1\nVolume=data.v1:/d\nVolume=/etc/x:/x\nVolume=%N:/n\nVolume=/anonymous\n" +
		"Mount=type=image,source=tools,target=/tools\nMount=type=volume,source=mail,target=/mail\nMount=type=tmpfs,target=/tmp\n"
	if _, err := install(t.Context(), e, request(t, "App", "c", "web.container", web)); err != nil {
		t.Fatal(err)
	}
	removed, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(removed.KeptVolumes, []string{"data.v1", "mail"}) {
		t.Errorf("volumes that stay: %v", removed.KeptVolumes)
	}
}

func TestRemoveWithVolumesGoesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	if _, err := install(t.Context(), e, request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nVolume=cache:/c\nVolume=data.volume:/d\n", "data.volume", volume)); err != nil {
		t.Fatal(err)
	}
	m.volumes["cache"] = true // and systemd-data is in use
	removed, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{Volumes: true}, nil)
	if !errors.Is(err, leger.ErrConflict) || !slices.Equal(removed.Volumes, []string{"cache"}) || !slices.Equal(removed.KeptVolumes, []string{"systemd-data"}) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	m.volumes["cache"], m.volumes["systemd-data"] = true, true
	if removed, err = e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{Volumes: true}, nil); err != nil || len(removed.Volumes) != 2 {
		t.Errorf("again: %+v, %v", removed, err)
	}
}

// The user deleted a quadlet by hand; systemd lets its unit run on without a file.
func TestRemoveStopsWhatHasLostItsFile(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	if _, err := install(t.Context(), e, v1(t)); err != nil {
		t.Fatal(err)
	}
	delete(m.files, "/q/db.container")
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{}, nil); err != nil || m.running() != "" {
		t.Errorf("%v, left behind:\n%s", err, m.running())
	}
}

func TestListIsInOrderOfName(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	for _, name := range []string{"b", "A"} {
		if _, err := install(t.Context(), e, request(t, name, "c", "x"+name+".container", "[Container]\nImage=x:1\n")); err != nil {
			t.Fatal(err)
		}
	}
	all, err := e.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Release != "A" || all[1].Release != "b" {
		t.Errorf("list %+v, %v", all, err)
	}
}
