package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/internal/cli"
	"leger.run/leger/internal/deploy"
)

// TestPlanText holds how plans are shown against testdata/plans, for the plans
// that package deploy is held against. UPDATE_GOLDEN=1 writes them anew.
func TestPlanText(t *testing.T) {
	t.Parallel()
	plans, err := filepath.Glob(filepath.Join("..", "deploy", "testdata", "plans", "*.json"))
	if err != nil || len(plans) < 10 {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	for _, file := range plans {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var p deploy.Plan
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		got := cli.PlanText(p, true) + cli.RiskText(p)
		golden := filepath.Join("testdata", "plans", strings.TrimSuffix(filepath.Base(file), ".json")+".txt")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.MkdirAll(filepath.Dir(golden), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", golden, diff)
		}
	}
}

// installedApp is a host with a release "app" of one container installed.
func installedApp(t *testing.T) *host {
	t.Helper()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web("")})
	h.leger(0, "deploy", "install", "--release", "app", "--yes")
	return h
}

func TestPlanThenUpdate(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	wantIn(t, h.leger(0, "deploy", "plan", "app").stderr, "Nothing to do: app is up to date, generation 1")
	wantIn(t, h.leger(0, "deploy", "update", "app").stderr, "Nothing to do")

	h.commit(map[string]string{"web.container": web("PublishPort=127.0.0.1:8080:80"), "job.container": web("")})
	tip := h.git("rev-parse", "--short=12", "HEAD")
	s := h.leger(0, "deploy", "plan", "app")
	wantIn(t, s.stdout, "Change generation 1 of app to commit "+tip, "add     job.service (container)", "change  web.service (container)",
		"secret  + api_key of job.service", "port    + 127.0.0.1:8080:80 of web.service", "    +PublishPort=127.0.0.1:8080:80")
	var out struct{ Plan deploy.Plan }
	if err := json.Unmarshal([]byte(h.leger(0, "deploy", "plan", "--release", "app", "--json").stdout), &out); err != nil || len(out.Plan.Changes.Units) != 2 {
		t.Errorf("--json: %v, %+v", err, out.Plan.Changes)
	}
	if got := h.installed(); len(got) != 1 {
		t.Errorf("a plan installed %v", got)
	}
	wantIn(t, h.leger(0, "deploy", "status", "app").stderr, "app: the branch has moved on to commit "+tip)
	wantIn(t, h.leger(2, "deploy", "update", "app").stderr, "1 thing needs your consent", "job.container:3: job.service gets the secret api_key", "nobody to ask")
	wantIn(t, h.leger(0, "deploy", "update", "app", "--yes").stderr, "app is installed: generation 2")
	wantIn(t, h.leger(0, "deploy", "status", "app", "--history").stdout, "GENERATION", "current")

	// A new risk needs consent; what was accepted once does not come up again.
	h.commit(map[string]string{"web.container": web("PodmanArgs=--log-level=info")})
	wantIn(t, h.leger(2, "deploy", "update", "app").stderr, "1 thing needs your consent", "nobody to ask")
	h.leger(0, "deploy", "update", "app", "--yes")
	h.commit(map[string]string{"web.container": web("PodmanArgs=--log-level=info\nLabel=a=b")})
	wantIn(t, h.leger(0, "deploy", "update", "app").stderr, "No new risk; accepted before: 1", "generation 4")

	h.leger(3, "deploy", "update", "other")
	h.leger(2, "deploy", "update")
	h.leger(2, "deploy", "update", "app", "--release", "app")
}

// The bad commit is remembered until the branch moves on, and the generation
// before runs.
func TestABadCommitIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.commit(map[string]string{"web.container": web(""), "bad.container": web("")})
	h.units.broken["bad.service"] = true
	s := h.leger(7, "deploy", "update", "app", "--yes")
	wantIn(t, s.stderr, "leger: bad.service did not come up", "generation 1 is installed again")
	wantIn(t, h.leger(5, "deploy", "update", "app").stderr, "has failed on this machine", "bad.service did not come up", "--retry")
	wantIn(t, h.leger(0, "deploy", "status", "app").stderr, "which is not installed: bad.service did not come up")
	wantIn(t, h.leger(0, "deploy", "plan", "app").stdout, "This commit was tried here on")
	h.leger(7, "deploy", "update", "app", "--retry")
	delete(h.units.broken, "bad.service")
	h.leger(0, "deploy", "update", "app", "--retry")
	h.leger(0, "deploy", "update", "app")
}

// Going back needs neither repository nor server.
func TestRollbackWithTheRepositoryGone(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.commit(map[string]string{"web.container": web("Label=a=b"), "job.container": web("")})
	h.leger(0, "deploy", "update", "app", "--yes")
	if err := os.Rename(h.repo, h.repo+".gone"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Rename(h.repo+".gone", h.repo) })
	h.down.Store(true)
	wantIn(t, h.leger(0, "deploy", "rollback", "app", "--dry-run").stderr, "Going back to generation 1", "remove  job.service", "--dry-run")
	wantIn(t, h.leger(0, "deploy", "rollback", "app").stderr, "Going back to generation 1", "app is installed: generation 1")
	if got := h.installed(); len(got) != 1 {
		t.Errorf("installed: %v", got)
	}
	h.leger(3, "deploy", "rollback", "app")
	h.leger(3, "deploy", "rollback", "app", "9")
	h.leger(2, "deploy", "rollback", "app", "x")
	h.leger(3, "deploy", "rollback", "other")
	h.leger(0, "deploy", "rollback", "app", "2")
	h.leger(0, "deploy", "rollback", "app")
	h.down.Store(false)
	if err := os.Rename(h.repo+".gone", h.repo); err != nil {
		t.Fatal(err)
	}
	wantIn(t, h.leger(5, "deploy", "update", "app").stderr, "you went back from it to generation 1")
}

func TestServices(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	wantIn(t, h.leger(0, "service", "list").stdout, "web.service", "app", "active (running)", "container")
	wantIn(t, h.leger(0, "service", "status", "web").stdout, "web.service", "web.container")
	wantIn(t, h.leger(0, "service", "restart", "web.service").stderr, "web.service is up again")
	wantIn(t, h.leger(0, "service", "stop", "web").stderr, "web.service is stopped")
	wantIn(t, h.leger(7, "service", "status", "web", "--json").stdout, `"active": "inactive"`)
	wantIn(t, h.leger(7, "deploy", "status", "app", "--offline").stdout, "inactive")
	wantIn(t, h.leger(0, "service", "start", "web").stderr, "web.service is up")
	// Other units of the machine are none of Leger's business.
	for _, verb := range []string{"status", "start", "stop", "restart", "logs"} {
		wantIn(t, h.leger(3, "service", verb, "ssh.service").stderr, "Leger has installed no unit")
	}
}

// A secret that was replaced after a unit was started is said to be older there.
func TestStaleSecretsAreTold(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	if s := h.leger(0, "deploy", "status", "app"); strings.Contains(s.stderr, "older value") {
		t.Errorf("too early: %s", s.stderr)
	}
	h.legerIn(t.Context(), 0, canary+"-2", "secrets", "set", "api_key")
	h.leger(0, "secrets", "sync")
	wantIn(t, h.leger(0, "deploy", "status", "app").stderr, "web.service runs with an older value of the secret api_key")
	wantIn(t, h.leger(0, "deploy", "status", "app", "--json").stdout, `"secret": "api_key"`)
}

func TestValidateWithoutPodman(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "web.container"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(web(""))
	h.leger(0, "validate", dir)
	write(web("Imagge=x\nPodmanArgs=--privileged"))
	s := h.leger(2, "validate", dir)
	wantIn(t, s.stdout, "web.container:4: error:", "Imagge", "web.container:5: danger:")
	wantIn(t, h.leger(2, "validate", dir, "--json").stdout, `"problems": [`)
	h.leger(3, "validate", filepath.Join(dir, "none"))
	h.leger(2, "validate", dir, dir)
}

// The timer's work: update what moved on, leave to the user what is theirs.
func TestAuto(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.standin("systemctl", "#!/bin/sh\necho \"$@\" >> "+filepath.Join(h.home, "systemctl.log")+"\n")
	timer := filepath.Join(h.home, ".config", "systemd", "user", "leger-deploy-auto.timer")
	outcome := func(code int, want string) said {
		t.Helper()
		s := h.leger(code, "deploy", "auto", "run", "--json", "--settle", "50ms")
		wantIn(t, s.stdout, `"outcome": "`+want+`"`)
		return s
	}
	wantIn(t, h.leger(0, "deploy", "auto", "run").stderr, "No release is updated by itself")
	h.leger(3, "deploy", "auto", "on", "other")
	h.leger(2, "deploy", "auto", "on", "app", "--every", "1s")
	wantIn(t, h.leger(0, "deploy", "auto", "on", "app", "--every", "1h").stderr, "updated by itself from now on", "1h")
	if b, err := os.ReadFile(timer); err != nil || !strings.Contains(string(b), "OnUnitInactiveSec=3600") {
		t.Errorf("timer: %v\n%s", err, b)
	}
	wantIn(t, h.leger(0, "deploy", "status", "--json").stdout, `"auto": true`)
	outcome(0, "unchanged")

	h.commit(map[string]string{"web.container": web("Label=a=b")})
	outcome(0, "updated")
	wantIn(t, h.leger(0, "deploy", "list").stdout, h.git("rev-parse", "--short=12", "HEAD"))

	// A new risk waits for somebody.
	h.commit(map[string]string{"web.container": web("PodmanArgs=--log-level=info")})
	wantIn(t, outcome(5, "waiting").stderr, "needs your consent: PodmanArgs=--log-level=info hands arguments", "hint: read what it brings, and install it if it is meant: leger deploy update app")
	h.leger(0, "deploy", "update", "app", "--yes")

	// So does a file that was edited here.
	if err := os.WriteFile(filepath.Join(h.units.dir, "app.leger", "web.container"), []byte(web("Label=by=hand")), 0o600); err != nil {
		t.Fatal(err)
	}
	h.commit(map[string]string{"web.container": web("PodmanArgs=--log-level=info\nLabel=c=d")})
	wantIn(t, outcome(5, "waiting").stderr, "web.container was edited on this machine")
	h.leger(0, "deploy", "update", "app", "--yes")

	// What does not come up is tried once.
	h.commit(map[string]string{"web.container": web("Label=e=f"), "bad.container": noSecret("")})
	h.units.broken["bad.service"] = true
	wantIn(t, outcome(7, "failed").stderr, "bad.service did not come up", "is installed again")
	wantIn(t, outcome(5, "waiting").stderr, "has failed here before")

	h.leger(0, "deploy", "auto", "off", "app")
	if _, err := os.Stat(timer); !os.IsNotExist(err) {
		t.Errorf("the timer is left: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(h.home, "systemctl.log"))
	if err != nil {
		t.Fatal(err)
	}
	wantIn(t, string(log), "--user enable --quiet leger-deploy-auto.timer", "--user disable --quiet --now leger-deploy-auto.timer")
}

// Neither a commit nor what was before it comes up: the timer leaves that to the user, and
// does not stop and start the services at each run. The same command by hand goes on.
func TestAutoDoesNotGoRoundInCircles(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.standin("systemctl", "#!/bin/sh\n")
	h.leger(0, "deploy", "auto", "on", "app")
	h.commit(map[string]string{"web.container": web("Label=a=b"), "bad.container": noSecret("")})
	h.units.broken["bad.service"], h.units.broken["web.service"] = true, true
	s := h.leger(7, "deploy", "auto", "run", "--settle", "50ms")
	wantIn(t, s.stderr, "what was there before could not be put back")
	var starts atomic.Int64
	h.units.onStart = func() { starts.Add(1) }
	s = h.leger(5, "deploy", "auto", "run", "--json", "--settle", "50ms")
	wantIn(t, s.stdout, `"outcome": "waiting"`)
	wantIn(t, s.stderr, "has failed here before", "was not finished", "hint: read what it brings, and install it if it is meant: leger deploy update app")
	if n := starts.Load(); n != 0 {
		t.Errorf("%d units were started", n)
	}
	h.units.onStart = nil
	wantIn(t, h.leger(7, "deploy", "status", "app").stderr, "interrupted")

	delete(h.units.broken, "web.service") // its user has seen to it
	wantIn(t, h.leger(7, "deploy", "update", "app").stderr, "bad.service did not come up", "generation 1 is installed again")
	h.leger(0, "deploy", "status", "app")
	wantIn(t, h.leger(5, "deploy", "update", "app").stderr, "has failed on this machine", "--retry")
	h.leger(5, "deploy", "auto", "run")
}

// A changed secret restarts what uses it and nothing else; a value that does not
// work is taken back.
func TestSyncRestartsDependents(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "other_key")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.commit(map[string]string{"web.container": web(""), "other.container": strings.ReplaceAll(web(""), "api_key", "other_key")})
	h.leger(0, "deploy", "install", "--release", "app", "--yes")
	begun := h.units.begun()

	h.leger(0, "secrets", "sync", "--restart")
	if diff := cmp.Diff(begun, h.units.begun()); diff != "" {
		t.Errorf("nothing had changed, and something was restarted: %s", diff)
	}
	h.legerIn(t.Context(), 0, canary+"-2", "secrets", "set", "api_key")
	wantIn(t, h.leger(0, "secrets", "sync", "--restart").stderr, "Restarted: web.service.")
	now := h.units.begun()
	if !now["other.service"].Equal(begun["other.service"]) || now["web.service"].Equal(begun["web.service"]) {
		t.Errorf("before %v, now %v", begun, now)
	}

	// Without --restart it stays stale; the next one with it catches up.
	h.legerIn(t.Context(), 0, canary+"-3", "secrets", "set", "api_key")
	h.leger(0, "secrets", "sync")
	wantIn(t, h.leger(0, "secrets", "sync", "--restart", "--json").stdout, `"restarted": [`, `"web.service"`)

	// The fourth value does not work.
	h.units.refuse = func(unit string) bool {
		got, _ := h.podman.Secret("api_key")
		return unit == "web.service" && string(got.Value) == canary+"-4"
	}
	h.legerIn(t.Context(), 0, canary+"-4", "secrets", "set", "api_key")
	s := h.leger(7, "secrets", "sync", "--restart")
	wantIn(t, s.stderr, "putting the former value back", "it runs again with the former value of the secret", "Restarted: web.service.")
	if got, _ := h.podman.Secret("api_key"); string(got.Value) != canary+"-3" {
		t.Error("Podman does not have the former value")
	}
	h.leger(0, "deploy", "status", "app", "--offline")
	// It is held back, and so is what a sync had brought before it was restarted with.
	wantIn(t, h.leger(0, "secrets", "sync").stderr, "api_key: version 4 is held back", "--retry")
	h.leger(0, "secrets", "sync", "--retry")
	s = h.leger(7, "secrets", "sync", "--restart", "--json")
	wantIn(t, s.stderr, "it runs again with the former value of the secret")
	wantIn(t, s.stdout, `"went_back": [`, `"action": "held-back"`, `"from_version": 3`, `"to_version": 4`)
	if got, _ := h.podman.Secret("api_key"); string(got.Value) != canary+"-3" {
		t.Error("Podman does not have the former value again")
	}
	// What does not come up with the former value either is not the new value's fault.
	h.units.refuse = func(unit string) bool { return unit == "web.service" }
	h.legerIn(t.Context(), 0, canary+"-5", "secrets", "set", "api_key")
	wantIn(t, h.leger(7, "secrets", "sync", "--restart").stderr, "does not come up either, so the new ones stay")
	if got, _ := h.podman.Secret("api_key"); string(got.Value) != canary+"-5" {
		t.Error("Podman does not have the new value")
	}
	h.units.refuse = nil
	if s := h.leger(0, "secrets", "sync"); strings.Contains(s.stderr, "held back") {
		t.Error("a value that is not to blame is held back")
	}
	if now := h.units.begun(); !now["other.service"].Equal(begun["other.service"]) {
		t.Error("a unit that does not use the secret was restarted")
	}
}

// A private repository with a token that Leger keeps, and commits that have to be
// signed; both hold for the updates that follow.
func TestAPrivateAndSignedRepository(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "git_token")
	h.legerIn(t.Context(), 0, canary, "secrets", "set", "api_key")
	url := h.servePrivate(canary)
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	signers := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(signers, []byte("t@example.com "+string(public)), 0o600); err != nil {
		t.Fatal(err)
	}
	h.git("config", "gpg.format", "ssh")
	h.git("config", "user.signingKey", key)
	h.git("config", "commit.gpgSign", "true")
	h.commit(map[string]string{"web.container": web("")})

	install := []string{"deploy", "install", "--release", "app", "--source", url, "--branch", "main"}
	h.leger(4, install...)
	wantIn(t, h.leger(3, append(install, "--git-token-secret", "git_token")...).stderr, "git_token", "leger secrets sync")
	h.leger(0, "secrets", "sync")
	h.leger(2, append(install, "--git-token-secret", "git_token", "--allowed-signers", "/none")...)
	s := h.leger(0, append(install, "--git-token-secret", "git_token", "--allowed-signers", signers, "--yes")...)
	wantIn(t, s.stderr, "signed by t@example.com", "app is installed")
	wantIn(t, h.leger(0, "deploy", "status", "app", "--json").stdout, `"signed_by": "t@example.com`, `"token_secret": "git_token"`, `"moved": false`)

	h.commit(map[string]string{"web.container": web("Label=a=b")})
	wantIn(t, h.leger(0, "deploy", "update", "app").stderr, "generation 2")
	h.git("config", "commit.gpgSign", "false")
	h.commit(map[string]string{"web.container": web("Label=c=d")})
	wantIn(t, h.leger(4, "deploy", "update", "app").stderr, "is not signed by an allowed signer")
	wantIn(t, h.leger(0, "deploy", "rollback", "app").stderr, "generation 1")
}

// The journal of a release's units, and nothing in it that steers the terminal.
func TestLogs(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.standin("journalctl", "#!/bin/sh\necho \"$@\"\nprintf 'hello \\033[2J\\303\\244\\n'\n")
	s := h.leger(0, "deploy", "logs", "app")
	wantIn(t, s.stdout, "--user", "--lines=100", "--unit=web.service", "hello", "ä")
	if strings.Contains(s.stdout, "\x1b") {
		t.Error("the journal steers the terminal")
	}
	wantIn(t, h.leger(0, "deploy", "logs", "app", "--since", "1 hour ago", "-f").stdout, "--since=1 hour ago", "--follow")
	wantIn(t, h.leger(0, "service", "logs", "web", "-n", "5", "--json").stdout, "--lines=5", "--output=json")
	h.leger(3, "deploy", "logs", "other")
	h.standin("journalctl", "#!/bin/sh\necho 'Failed to parse timestamp: x' >&2\nexit 1\n")
	wantIn(t, h.leger(2, "deploy", "logs", "app", "--since", "x").stderr, "Failed to parse timestamp")
}

// Ports that somebody has are refused with who it is, names too.
func TestWhatOthersHaveIsRefused(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.podman.Run("theirs", "theirs.service", "", 8080)
	h.commit(map[string]string{"web.container": web("PublishPort=127.0.0.1:8080:80")})
	wantIn(t, h.leger(5, "deploy", "update", "app").stderr, "web.container:4: port 8080 (tcp) is taken by the container theirs of theirs.service")
	h.commit(map[string]string{"web.container": web("ContainerName=theirs")})
	wantIn(t, h.leger(5, "deploy", "update", "app").stderr, "a container called theirs that Leger did not make is there")
	h.commit(map[string]string{"web.container": web("Pull=never")})
	wantIn(t, h.leger(6, "deploy", "update", "app").stderr, "is not on this machine, and Pull=never forbids to pull it")
	h.podman.Pull("registry.example/web" + digest)
	h.leger(0, "deploy", "update", "app")
	h.podman.Run("systemd-web", "web.service", "unhealthy")
	wantIn(t, h.leger(7, "deploy", "status", "app").stdout, "active (running), unhealthy")
}
