package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/report/reporttest"
	"leger.run/leger/internal/wire"
)

// told is what the server knows of a deployment of this machine.
func (h *host) told(release string) wire.HostDeployment {
	h.t.Helper()
	all := h.host(h.home).Deployments
	i := slices.IndexFunc(all, func(d wire.HostDeployment) bool { return d.Release.String() == release })
	if i < 0 {
		h.t.Fatalf("the server knows nothing of %s: %+v", release, all)
	}
	return all[i]
}

// A status during an update said "interrupted", ended with 7, and reported a failure
// to the server, where somebody was alarmed. What runs is neither.
func TestADeploymentThatRunsIsSaidToRun(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	h.units.onStart = func() {
		close(begun)
		<-goOn
	}
	h.commit(map[string]string{"web.container": web("Label=a=b")})
	updated := make(chan said)
	go func() { updated <- h.run(t.Context(), "", "deploy", "update", "app", "--settle", "1ms") }()
	<-begun

	wantIn(t, h.leger(0, "deploy", "status", "app").stderr, "app is being deployed at this moment")
	wantIn(t, h.leger(0, "deploy", "status", "--json").stdout, `"running": true`, `"interrupted": false`)
	wantIn(t, h.leger(0, "deploy", "list").stdout, "being deployed")
	wantIn(t, h.leger(0, "status").stdout, "app, generation 1, being deployed at this moment")
	d := h.told("app")
	if got := reporttest.Findings(d.Findings); d.State != leger.HostUnknown || d.Health != leger.HealthUnknown || !slices.Equal(got, []string{"deploying:  is being deployed at this moment"}) {
		t.Errorf("the server is told %s, %s, %q", d.State, d.Health, got)
	}

	close(goOn)
	if s := <-updated; s.code != 0 {
		t.Fatalf("the update ended with %d: %s", s.code, s.stderr)
	}
	h.units.onStart = nil
	h.leger(0, "deploy", "status", "app")
	if d := h.told("app"); d.State != leger.HostActive || d.Health != leger.HealthGood || len(d.Findings) > 0 {
		t.Errorf("afterwards the server is told %+v", d)
	}
}

// One wrong byte in what is recorded of one release, and status and deploy auto
// ended for all of them; the server was told of all but that one, as if it had been
// removed. Each file of a record counts.
func TestADamagedRecordIsAFinding(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"current.json", "pending.json", "generations/1/manifest.json", "failed.json", "auto.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			h := installedApp(t)
			h.standin("systemctl", "#!/bin/sh\n")
			h.leger(0, "releases", "create", "other", "--git-url", h.url)
			h.commit(map[string]string{"other.container": noSecret("")})
			h.leger(0, "deploy", "install", "--release", "other", "--settle", "1ms")
			h.leger(0, "deploy", "auto", "on", "other")
			record := filepath.Join(h.home, ".local", "state", "leger", "deployments", "app", file)
			if err := os.WriteFile(record, []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}

			wantIn(t, h.leger(0, "deploy", "list").stdout, "damaged", "healthy")
			all := h.leger(7, "deploy", "status")
			wantIn(t, all.stdout, "damaged", "other.service")
			wantIn(t, all.stderr, "cannot be read", "leger deploy remove")
			wantIn(t, h.leger(7, "deploy", "status", "app").stderr, "the record of app cannot be read", "leger deploy remove")
			h.leger(0, "deploy", "status", "other")
			wantIn(t, h.leger(7, "deploy", "status", "--json").stdout, `"damage": "`)
			wantIn(t, h.leger(0, "status").stdout, "app, its record cannot be read: leger deploy status app", "other, generation 1, healthy")
			wantIn(t, h.leger(6, "doctor").stdout, "fail  deployments     the record of app cannot be read")
			d := h.told("app")
			want := []string{"record_damaged:  its record on the machine cannot be read: leger deploy status app says why"}
			if got := reporttest.Findings(d.Findings); d.State != leger.HostUnknown || d.Health != leger.HealthUnknown || !slices.Equal(got, want) {
				t.Errorf("the server is told %s, %s, %q", d.State, d.Health, got)
			}
			if d := h.told("other"); d.Health != leger.HealthGood {
				t.Errorf("of the other one the server is told %+v", d)
			}

			// The timer updates what it can, and says what it cannot.
			h.commit(map[string]string{"other.container": noSecret("Label=a=b")})
			code, damaged := 0, file == "auto.json" // else it is known not to be updated by itself
			if damaged {
				code = 1
			}
			s := h.leger(code, "deploy", "auto", "run", "--json", "--settle", "1ms")
			wantIn(t, s.stdout, `"outcome": "updated"`)
			if got := strings.Contains(s.stdout, `"outcome": "failed"`); got != damaged {
				t.Errorf("the damaged one failed: %v, want %v: %s", got, damaged, s.stdout)
			}

			h.leger(0, "deploy", "remove", "app", "--yes")
			h.leger(0, "deploy", "status")
			h.commit(map[string]string{"web.container": web("")})
			h.leger(0, "deploy", "install", "--release", "app", "--yes", "--settle", "1ms")
			h.leger(0, "deploy", "status")
		})
	}
}

// A unit that only multi-user.target wants runs after an install, and was gone after
// a reboot without a word: a user's systemd has no such target. validate, plan and
// status tell it, and the server is told.
func TestWhatABootDoesNotStartIsTold(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	text := strings.Replace(noSecret(""), "default.target", "multi-user.target", 1)
	h.commit(map[string]string{"web.container": text})
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	note := "web.service will not start when the machine boots"
	wantIn(t, h.leger(0, "validate", h.repo).stdout, note+": a user's systemd does not reach multi-user.target", "WantedBy=default.target")
	plan := h.leger(0, "deploy", "plan", "--release", "app")
	wantIn(t, plan.stdout+plan.stderr, note)
	wantIn(t, h.leger(0, "deploy", "install", "--release", "app", "--settle", "1ms").stderr, note)
	wantIn(t, h.leger(0, "deploy", "status", "app").stderr, "app: "+note)
	wantIn(t, h.leger(0, "deploy", "status", "--json").stdout, `"not_at_boot": true`)
	wantIn(t, h.leger(0, "status").stderr, "app: "+note)
	d := h.told("app")
	want := []string{"not_at_boot: " + note + ": nothing that starts then asks for it"}
	if got := reporttest.Findings(d.Findings); d.Health != leger.HealthGood || !slices.Equal(got, want) {
		t.Errorf("the server is told %s, %q", d.Health, got)
	}
}
