//go:build e2e

package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"leger.run/leger/e2e/rig"
)

// The server's machine is lost with what was written since the backup. It is restored into
// another directory, as on another machine, and the user's machine goes on with it: it asks
// before it takes a value back, and what it brings is the backup's.
func TestRestoreGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(w.login())
	w.api(http.MethodPost, "/api/secrets/api_key", map[string]string{"value": canary})
	w.git.Commit(t.Context(), "quadlets", "main", webQuadlet("api_key"))
	w.api(http.MethodPost, "/api/releases", map[string]string{"name": "my-web", "git_url": w.git.URL + "/quadlets.git"})
	w.show(`leger secrets sync`)
	w.show(`leger deploy install --release my-web --yes`)
	w.m.WriteFile(t.Context(), rig.Home+"/passphrase", "four words of one's own\n")
	w.sh(`chmod 600 ~/passphrase`)
	w.show(`leger-server backup ~/leger.backup --with-keys --passphrase-file ~/passphrase --data ` + serverData)

	w.api(http.MethodPost, "/api/secrets/api_key", map[string]string{"value": canaryNew})
	w.api(http.MethodPost, "/api/secrets/later", map[string]string{"value": "written after the backup"})
	w.show(`leger secrets sync --restart`)
	if got := w.container("/env/API_KEY"); got != canaryNew {
		t.Fatal("the container has not the newer value")
	}

	w.server.Stop(t.Context())
	const elsewhere = rig.Home + "/elsewhere"
	w.show(`leger-server restore ~/leger.backup --passphrase-file ~/passphrase --data ` + elsewhere)
	w.server = w.m.StartUnit(t.Context(), rig.Unit{
		Name: "restored-server", ByUser: true,
		Command: []string{"leger-server", "--listen", "127.0.0.1:8787", "--data", elsewhere},
	})
	w.awaitServer()

	w.fails(5, `leger secrets sync --no-input`, "later")
	w.show(`leger secrets sync --restart --yes`)
	if got := w.container("/env/API_KEY"); got != canary {
		t.Error("after the restore the container has not the backup's value")
	}
	if got := w.sh(`podman secret ls --noheading --format '{{.Name}}'`); got != "api_key" {
		t.Errorf("Podman has %q", got)
	}

	if status, _ := w.request(http.MethodGet, "/api/user", nil, ""); status != http.StatusUnauthorized {
		t.Errorf("the browser of before is answered with %d", status)
	}
	w.open(w.login())
	w.git.Commit(t.Context(), "quadlets", "main", webQuadlet("api_key", "second"))
	w.api(http.MethodPost, "/api/secrets/second", map[string]string{"value": canaryNew})
	w.show(`leger secrets sync`)
	w.show(`leger deploy update my-web --yes`)
	if got := w.container("/env/SECOND"); got != canaryNew {
		t.Error("a secret that was written after the restore does not reach the container")
	}
	if out := w.show(`leger-server audit verify --data ` + elsewhere); !strings.Contains(out, "Everything fits") {
		t.Errorf("the audit log: %s", out)
	}
	w.searchCanaries(t, canary, canaryNew)
}
