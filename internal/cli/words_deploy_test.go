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
