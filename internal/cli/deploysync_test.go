package cli_test

import (
	"context"
	"strings"
	"testing"
)

// What a deployment brings to the machine first is a sync like any other: it takes
// nothing away unasked. Of an update by the timer that is left to the user.
func TestADeploymentTakesNoSecretUnasked(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	h.standin("systemctl", "#!/bin/sh\n")
	h.leger(0, "deploy", "auto", "on", "app")
	podman := func() string {
		got, _ := h.podman.Secret("api_key")
		return string(got.Value)
	}
	was := podman()
	if was == "" {
		t.Fatal("there is no secret")
	}
	files := h.installed()

	// The server is another one, which has another value under this name.
	h.restoreServer()
	h.leger(0, "auth", "login", "--no-browser")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	h.legerIn(context.Background(), 0, canary+"-other", "secrets", "set", "api_key")
	h.commit(map[string]string{"web.container": web("Label=a=b")})
	s := h.leger(5, "deploy", "auto", "run", "--json", "--settle", "50ms")
	wantIn(t, s.stdout, `"outcome": "waiting"`, "this is another server than the one of the last sync")
	wantIn(t, h.leger(5, "deploy", "update", "app", "--yes", "--settle", "50ms").stderr,
		"this is another server than the one of the last sync", "api_key; nothing was changed", "hint: look: leger secrets sync --dry-run")

	// Somebody else signs in. Without a secret of the name there is no step of theirs
	// for it, and what Podman has is not theirs.
	h.leger(0, "auth", "login", "--no-browser", "--local-identity", "bob@example.com")
	h.leger(0, "releases", "create", "app", "--git-url", h.url)
	wantIn(t, h.leger(5, "deploy", "update", "app", "--yes", "--settle", "50ms").stderr, "this machine has the secrets of another account")
	if podman() != was {
		t.Error("Podman's secret is not what it was")
	}
	if now := h.installed(); strings.Join(now, " ") != strings.Join(files, " ") {
		t.Errorf("installed: %q, were %q", now, files)
	}

	// The owner consents, and the same update goes on.
	h.leger(0, "auth", "login", "--no-browser")
	h.leger(0, "secrets", "sync", "--yes")
	if podman() != canary+"-other" {
		t.Error("Podman does not have the server's value")
	}
	h.leger(0, "deploy", "update", "app", "--yes", "--settle", "50ms")
}
