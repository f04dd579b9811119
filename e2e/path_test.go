//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Values that occur nowhere else. Wherever one turns up but in a container, in
// Podman's own store, or in the answer that its owner asked for, it has leaked.
const (
	canary    = "canary-4f1c9a-first"
	canaryNew = "canary-4f1c9a-second"
)

// TestKeyReachesContainer is the specification's end-to-end test, step by step,
// then what must hold afterwards: a changed key replaces the old one, a removed
// one disappears, and doing nothing does nothing.
func TestKeyReachesContainer(t *testing.T) {
	t.Parallel()
	keyReachesContainer(t, newWorld(t))
}

// TestKeyReachesContainerFromTheWorker is the same path, with the Worker in place of
// leger-server.
func TestKeyReachesContainerFromTheWorker(t *testing.T) {
	t.Parallel()
	keyReachesContainer(t, newWorldOn(t, (*world).startWorker))
}

func keyReachesContainer(t *testing.T, w *world) {
	t.Helper()
	watch := watchArguments(t, canary, canaryNew)

	t.Log("STEP 1: a fresh user with Tailscale running")
	status, err := w.tailnet.Status(t.Context())
	if err != nil || status.BackendState != "Running" {
		t.Fatalf("tailscaled: %+v, %v", status, err)
	}
	t.Logf("tailscaled is %s, user %d, tailnet %s", status.BackendState, status.Self.UserID, status.MagicDNSSuffix)

	t.Log("STEP 2: leger auth login; the link signs a browser in")
	p := sitDown(t, w.m)
	t.Logf("Chromium is at %s", p.does("open", map[string]string{"link": w.login()}))
	w.open(w.login()) // a second browser, for looking at what the first one did
	user := w.api(http.MethodGet, "/api/user", nil)
	t.Logf("the browser is signed in as %v of %v", user["email"], user["tailnet"])
	if user["email"] != "alice@github" || user["tailscale_user_id"] != "u123456789" || user["tailnet"] != "example.ts.net" {
		t.Errorf("signed in as %v", user)
	}

	t.Log("STEP 3: the secret test_key is typed in Chromium, and saved")
	for name, value := range map[string]string{"test_key": "test123", "api_key": canary, "not_used": canary} {
		p.does("create", map[string]string{"name": name, "value": value})
	}
	t.Logf("the server has: %v", w.api(http.MethodGet, "/api/secrets", nil))

	t.Log("STEP 4: leger secrets sync")
	w.show(`leger secrets sync`)

	t.Log("STEP 5: podman secret ls shows test_key")
	if out := w.show(`podman secret ls`); !strings.Contains(out, "test_key") || !strings.Contains(out, "api_key") {
		t.Errorf("podman secret ls:\n%s", out)
	}

	t.Log("STEP 6: a release of a Git repository is created in Chromium")
	commit := w.git.Commit(t.Context(), "quadlets", "main", webQuadlet("test_key", "api_key"))
	p.does("release", map[string]string{"name": "my-web", "url": w.git.URL + "/quadlets.git"})
	t.Logf("commit %s, releases: %v", commit, w.api(http.MethodGet, "/api/releases", nil))
	w.show(`leger releases list`)

	t.Log("STEP 7: leger deploy install --release my-web")
	w.show(`leger deploy install --release my-web --yes`)
	w.show(`systemctl --user --no-pager --lines=0 status web.service`)
	w.show(`podman ps`)
	for path, want := range map[string]string{
		"/env/TEST_KEY": "test123", "/file/run/secrets/test_key": "test123",
		"/env/API_KEY": canary, "/file/run/secrets/api_key": canary,
	} {
		if got := w.container(path); got != want {
			t.Errorf("the container's %s is not what was typed in the browser", path)
		}
	}
	t.Log("the container holds both keys, as environment variable and as file, byte for byte")

	w.afterwards(t, p)
	watch.stop(t)
	w.searchCanaries(t, canary, canaryNew)
	w.remove(t)
}

// afterwards is what the path must keep up once it has been walked.
func (w *world) afterwards(t *testing.T, p *person) {
	t.Helper()
	t.Log("AGAIN: a second sync and a second install do nothing")
	before := w.state()
	w.syncs(t, 0)
	out := w.show(`leger deploy install --release my-web --yes 2>&1`)
	if after := w.state(); after != before {
		t.Errorf("doing it again changed the machine:\n%s\nwas:\n%s\nand said:\n%s", after, before, out)
	}

	t.Log("CHANGE: a changed key replaces the old one in the restarted container")
	p.does("replace", map[string]string{"name": "api_key", "value": canaryNew})
	w.syncs(t, 1)
	w.show(`systemctl --user restart web.service`)
	if got := w.container("/env/API_KEY"); got != canaryNew {
		t.Error("after sync and restart the container does not hold the new value")
	}

	t.Log("REMOVE: a key deleted in the browser disappears from the machine")
	p.does("delete", map[string]string{"name": "not_used"})
	w.syncs(t, 1)
	if out := w.show(`podman secret ls`); strings.Contains(out, "not_used") || !strings.Contains(out, "api_key") {
		t.Errorf("podman secret ls:\n%s", out)
	}

	t.Log("DRIFT: a secret removed by hand comes back, though the server has nothing new")
	w.sh(`podman secret rm test_key`)
	if out := w.show(`leger secrets sync 2>&1`); !strings.Contains(out, "restored in Podman: 1 secret") {
		t.Errorf("the sync does not say what it restored:\n%s", out)
	}
	if out := w.sh(`podman secret ls --format '{{.Name}}'`); !strings.Contains(out, "test_key") {
		t.Errorf("podman secret ls:\n%s", out)
	}

	t.Log("CONFLICT: a Podman secret that Leger did not make is left alone, and said")
	w.sh(`echo -n mine | podman secret create handmade -`)
	w.api(http.MethodPost, "/api/secrets/handmade", map[string]string{"value": "from the server"})
	if got := w.run(`leger secrets sync`); got.Code != 5 || !strings.Contains(got.Stderr, "handmade") {
		t.Errorf("sync over a foreign secret: %s", got)
	}
	if got := w.sh(`podman secret inspect --showsecret --format '{{.SecretData}}' handmade`); got != "mine" {
		t.Error("a Podman secret that Leger did not make was replaced")
	}
	w.api(http.MethodDelete, "/api/secrets/handmade", nil)
	w.sh(`leger secrets sync && podman secret rm handmade`)

	w.show(`leger deploy list`)
	w.show(`leger deploy status`)
	w.show(`leger status`)

	t.Log("SEEN: the browser shows what this machine holds and runs, and no value")
	for _, path := range []string{"/hosts", "/api-keys", "/releases", "/activity"} {
		text := p.does("text", map[string]string{"path": path})
		_, _ = w.seen.Write([]byte(text))
		if path == "/hosts" {
			t.Logf("the page of machines:\n%s", text)
			for _, want := range []string{"2 of 2 at their newest version", "my-web", "web.service active"} {
				if !strings.Contains(text, want) {
					t.Errorf("the page of machines does not show %s", want)
				}
			}
		}
	}
}

// syncs runs a sync and checks that it did exactly this many changes.
func (w *world) syncs(t *testing.T, changes int) {
	t.Helper()
	var out struct {
		Secrets []struct{ Name, Action string }
	}
	if err := json.Unmarshal([]byte(w.show(`leger secrets sync --json`)), &out); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range out.Secrets {
		if s.Action != "unchanged" {
			n++
		}
	}
	if n != changes {
		t.Errorf("the sync did %d changes, want %d: %+v", n, changes, out.Secrets)
	}
}

// remove takes the release away: nothing of it stays but volumes.
func (w *world) remove(t *testing.T) {
	t.Helper()
	t.Log("REMOVE: the release leaves the machine")
	w.show(`leger deploy remove my-web --yes`)
	if out := w.sh(`ls -A ~/.config/containers/systemd 2>/dev/null || true`); out != "" {
		t.Errorf("quadlets stay: %s", out)
	}
	if out := w.sh(`podman ps -aq`); out != "" {
		t.Errorf("containers stay: %s", out)
	}
	w.show(`leger auth logout`)
	if got := w.run(`leger secrets list`); got.Code != 4 {
		t.Errorf("after logout: %s", got)
	}
}

// TestSyncSpeed: 100 changed secrets into real Podman, and a sync with nothing to
// do. The figures are reported; the bound is ten times the target, so that a slow
// machine does not fail it and a sync by a program run per secret does.
func TestSyncSpeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(w.login())
	for _, value := range []string{"one", "two"} {
		list := make([]map[string]string, 100)
		for i := range list {
			list[i] = map[string]string{"name": "key_" + string(rune('a'+i/10)) + string(rune('a'+i%10)), "value": value}
		}
		w.api(http.MethodPost, "/api/secrets:batch", map[string]any{"secrets": list})
		begun := time.Now()
		w.sh(`leger secrets sync`)
		took := time.Since(begun)
		t.Logf("sync of 100 secrets to value %q into real Podman: %d ms", value, took.Milliseconds())
		if took > 20*time.Second {
			t.Errorf("that is no sync over one connection")
		}
	}
	if out := w.sh(`podman secret ls --noheading | wc -l`); out != "100" {
		t.Errorf("Podman has %s secrets", out)
	}
	out := w.show(`for i in 1 2 3 4 5 6 7 8 9 10; do s=$(date +%s%N); leger secrets sync >/dev/null 2>&1 || exit 1; e=$(date +%s%N); echo $(( (e-s)/1000000 )); done | sort -n | tr '\n' ' '`)
	t.Logf("a sync with nothing to do, ms of ten runs: %s", out)
}
