package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/deploy"
)

// validate and plan say the same of the same files.
func TestValidateAndPlanAgree(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for text, code := range map[string]int{
		noSecret(""):                                  0,
		noSecret("Imagge=x"):                          2,
		noSecret("PublishPort=99999:80"):              2,
		noSecret("Volume=none.volume:/x"):             2,
		noSecret("Network=host"):                      0,
		noSecret("PodmanArgs=--privileged"):           0,
		noSecret("Secret=a,type=evil"):                2,
		noSecret("Volume=data:relative"):              2,
		"[Container]\nExec=true\n":                    2,
		"no quadlet at all\n":                         2,
		noSecret("[Service]\nExecStartPre=/bin/true"): 0,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "web.container"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h.leger(code, "validate", dir)
		h.leger(code, "deploy", "plan", "app", "--source", dir)
	}
}

// plan --json printed nothing at all when the plan was refused.
func TestAPlanInJSONHasItsRefusals(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.podman.Run("theirs", "theirs.service", "", 8080)
	h.commit(map[string]string{"web.container": web("PublishPort=127.0.0.1:8080:80")})
	var out struct{ Plan deploy.Plan }
	s := h.leger(5, "deploy", "plan", "app", "--json")
	if err := json.Unmarshal([]byte(s.stdout), &out); err != nil || len(out.Plan.Refusals) != 1 || !strings.Contains(out.Plan.Refusals[0].Text, "port 8080") {
		t.Errorf("%v, refusals %+v", err, out.Plan.Refusals)
	}
}

// list said "auto": false of what status called true; both are one account now.
// "15m0s" is no way to say a quarter of an hour.
func TestListAndStatusAgreeOnAuto(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.standin("systemctl", "#!/bin/sh\n")
	wantIn(t, h.leger(0, "deploy", "auto", "on", "app").stderr, "looked at every 15m.")
	wantIn(t, h.leger(2, "deploy", "auto", "on", "app", "--every", "1s").stderr, "at least 1m\n")
	wantIn(t, h.leger(0, "deploy", "auto", "on", "app", "--every", "90m").stderr, "looked at every 1h30m.")
	for _, args := range [][]string{{"deploy", "list", "--json"}, {"deploy", "status", "--json"}, {"status", "--json"}} {
		wantIn(t, h.leger(0, args...).stdout, `"auto": true`)
	}
}

// A sync that only restarted what ran with an older value said that there was
// nothing to do, and then what it had restarted.
func TestARestartIsNotNothing(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.legerIn(t.Context(), 0, canary+"-2", "secrets", "set", "api_key")
	h.leger(0, "secrets", "sync")
	s := h.leger(0, "secrets", "sync", "--restart")
	wantIn(t, s.stderr, "Restarted: web.service.")
	if strings.Contains(s.stderr, "Nothing to do") {
		t.Errorf("it says that there was nothing to do:\n%s", s.stderr)
	}
	wantIn(t, h.leger(0, "secrets", "sync", "--restart").stderr, "Nothing to do")
}

// A command of a release that names its own script by where plain Podman would put
// it: the release has a directory of its own, so the script would not be found. The
// plan says which path to write, and with that the script is there.
func TestACommandNamesItsScriptWhereItIs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	at := func(path string) map[string]string {
		return map[string]string{"web.container": noSecret("\n[Service]\nExecStartPre=%h/.config/containers/systemd/" + path), "run.sh": "#!/bin/sh\n"}
	}
	h.commit(at("run.sh"))
	s := h.leger(2, "deploy", "install", "--release", "app", "--yes")
	wantIn(t, s.stderr, "web.container:5: ExecStartPre=%h/.config/containers/systemd/run.sh names run.sh of this release, which is installed as "+filepath.Join(h.units.dir, "app.leger", "run.sh"),
		"write %h/.config/containers/systemd/app.leger/run.sh")
	h.commit(at("app.leger/run.sh"))
	h.leger(0, "deploy", "install", "--release", "app", "--yes", "--settle", "1ms")
	if got := h.installed(); !slices.Contains(got, "run.sh") {
		t.Errorf("installed: %v", got)
	}
}

// Who removes a release is told what stays of it, and where: volumes, those that
// others need and why, and what containers wrote into the release's own directories.
func TestRemoveSaysWhatStays(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	files := map[string]string{"web.container": noSecret("Volume=./data:/data\nVolume=cache:/c\nVolume=shared:/s"), "data/seed": "1"}
	h.installDirectory("app", files)
	h.installDirectory("other", map[string]string{"b.container": noSecret("PodmanArgs=-v shared:/s")})
	dir := filepath.Join(h.home, ".local", "share", "leger", "releases", "app")
	written := func() { // by a container
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "data", "db"), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written()
	s := h.leger(0, "deploy", "remove", "app", "--yes").stderr
	wantIn(t, s, "app is removed", "What its containers wrote stays in "+dir+": podman unshare rm -r "+dir+"\n",
		"The volume cache stays, with what is in it: podman volume rm cache\n", "The volume shared stays: the release other uses it, too.\n")

	// The same for a program; and what is not certain has its reason.
	h.installDirectory("app", files)
	written()
	h.installDirectory("other", map[string]string{"b.container": noSecret("Volume=sha%H:/s")})
	var out struct {
		KeptVolumes   []string            `json:"kept_volumes"`
		SharedVolumes []deploy.KeptVolume `json:"shared_volumes"`
		KeptData      []string            `json:"kept_data"`
	}
	told := h.leger(0, "deploy", "remove", "app", "--yes", "--json")
	if err := json.Unmarshal([]byte(told.stdout), &out); err != nil {
		t.Fatal(err)
	}
	want := deploy.KeptVolume{Volume: "shared", Release: "other", Doubt: "what %H in b.container names is known to the machine alone"}
	if !slices.Equal(out.KeptVolumes, []string{"cache", "shared"}) || !slices.Equal(out.KeptData, []string{dir}) || !slices.Equal(out.SharedVolumes, []deploy.KeptVolume{want}) {
		t.Errorf("told %+v", out)
	}
	wantIn(t, told.stderr, "The volume shared stays: the release other may use it, too: "+want.Doubt+".\n")

	// What is empty is no array that is missing.
	wantIn(t, h.leger(0, "deploy", "remove", "other", "--yes", "--json").stdout, `"kept_data": []`)
}
