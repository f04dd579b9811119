package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/deploy/redteam"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/wire"
)

// files gives what is where Podman and systemd look for units, and in the release's
// own directories, by path.
func (h *host) files() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, dir := range []string{".config/containers", ".config/systemd", ".local/share/leger/releases"} {
		err := filepath.WalkDir(filepath.Join(h.home, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			all[path] = string(b)
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			h.t.Fatal(err)
		}
	}
	return all
}

// installDirectory installs another release, from files in a directory.
func (h *host) installDirectory(release string, files map[string]string) {
	h.t.Helper()
	dir := h.t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			h.t.Fatal(err)
		}
	}
	h.leger(0, "deploy", "install", "--release", release, "--source", dir, "--yes", "--settle", "1ms")
}

// others puts on the machine what a pair says is there besides the release.
func (h *host) others(p redteam.Pair) {
	h.t.Helper()
	for _, v := range p.Volumes {
		h.podman.MakeVolume(v)
	}
	for volume, release := range p.VolumeOwners {
		name, text := "owner.volume", "[Volume]\nVolumeName="+volume+"\n"
		if made, ok := strings.CutPrefix(volume, "systemd-"); ok {
			name, text = made+".volume", "[Volume]\n"
		}
		h.installDirectory(release, map[string]string{"shop.container": noSecret("Volume=" + name + ":/data"), name: text})
		h.podman.MakeVolume(volume)
	}
	for network, release := range p.NetworkOwners {
		name := strings.TrimPrefix(network, "systemd-") + ".network"
		h.installDirectory(release, map[string]string{"shop.container": noSecret("Network=" + name), name: "[Network]\n"})
	}
}

// installFirst installs the first commit of a pair, with its user's consent to all
// of it, and has it updated by itself from then on.
func (h *host) installFirst(p redteam.Pair) {
	h.t.Helper()
	h.standin("systemctl", "#!/bin/sh\n")
	for _, name := range redteam.Secrets() {
		h.legerIn(h.t.Context(), 0, canary, "secrets", "set", name)
	}
	h.leger(0, "secrets", "sync")
	h.others(p)
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(p.Before)
	h.leger(0, "deploy", "install", "--release", "app", "--yes", "--settle", "1ms")
	h.leger(0, "deploy", "auto", "on", "app")
}

// comes brings what the pair says comes next: another commit or another source.
func (h *host) comes(p redteam.Pair) {
	h.t.Helper()
	if !p.Moves() {
		h.commit(p.After)
		return
	}
	var change wire.ReleaseUpdate
	for to, field := range map[string]**string{p.URL: &change.GitURL, p.Ref: &change.GitBranch, p.Path: &change.GitPath} {
		if to != "" {
			*field = &to
		}
	}
	h.editApp(change)
}

// autoRuns is one run of the timer, by its --json.
func (h *host) autoRuns(code int) (outcome string, asks []string) {
	h.t.Helper()
	var out struct {
		Releases []struct {
			Outcome string
			Asks    []quadlet.Risk
			Error   *struct{ Message string }
		}
	}
	s := h.leger(code, "deploy", "auto", "run", "--json", "--settle", "1ms")
	if err := json.Unmarshal([]byte(s.stdout), &out); err != nil || len(out.Releases) != 1 {
		h.t.Fatalf("%v: %s", err, s.stdout)
	}
	for _, r := range out.Releases[0].Asks {
		asks = append(asks, fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text))
	}
	return out.Releases[0].Outcome, asks
}

// Each of these commits was installed by "leger deploy auto run", which said "No new
// risk". It runs here as the timer runs it: real Git, server, legerd and records.
// What brings something new is left to the user, with nothing fetched into place or
// started; what does not is installed; and what the user has agreed to does not
// come up again.
func TestAutoLeavesWhatIsNewToTheUser(t *testing.T) {
	t.Parallel()
	pairs, err := redteam.Pairs()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		t.Run(p.What, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.installFirst(p)
			files, begun := h.files(), h.units.begun()
			h.comes(p)
			if p.Verdict != redteam.Asks {
				if outcome, asks := h.autoRuns(0); outcome != "updated" || len(asks) > 0 {
					t.Errorf("auto: %s, %q", outcome, asks)
				}
				return
			}
			outcome, asks := h.autoRuns(5)
			for _, want := range p.Shows {
				want = strings.ReplaceAll(want, redteam.URL, h.url)
				if outcome != "waiting" || !strings.Contains(strings.Join(asks, "\n"), want) {
					t.Errorf("auto: %s; %q is not in %q", outcome, want, asks)
				}
			}
			if diff := cmp.Diff(files, h.files()); diff != "" {
				t.Errorf("files were changed without consent: %s", diff)
			}
			if now := h.units.begun(); !maps.Equal(begun, now) {
				t.Errorf("units were started without consent: before %v, now %v", begun, now)
			}
			h.consented(p)
		})
	}
}

// consented has the user agree to what the pair brings, and the next commit bring
// the same: it is installed without a question. Where the second commit comes from a
// place that is not there, there is nothing to agree to.
func (h *host) consented(p redteam.Pair) {
	h.t.Helper()
	if p.Moves() {
		return
	}
	h.leger(2, "deploy", "update", "app", "--settle", "1ms")
	plan := h.leger(0, "deploy", "plan", "app", "--json")
	var out struct{ Plan deploy.Plan }
	if err := json.Unmarshal([]byte(plan.stdout), &out); err != nil || !out.Plan.NeedsConsent() {
		h.t.Fatalf("%v: %s", err, plan.stdout)
	}
	h.leger(0, "deploy", "update", "app", "--yes", "--settle", "1ms")
	h.commit(p.After)
	if outcome, asks := h.autoRuns(0); outcome != "updated" || len(asks) > 0 {
		h.t.Errorf("what was agreed to once: %s, %q", outcome, asks)
	}
}
