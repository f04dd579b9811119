package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"leger.run/leger/internal/secretsync"
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

// Two syncs at once: the older plan won, and a restart in the middle of a sync took the
// former value for the new one. Whatever brings secrets takes the one lock of the
// machine and user, and who waits for it says so.
func TestWhoeverBringsSecretsTakesTheLock(t *testing.T) {
	t.Parallel()
	h := installedApp(t)
	state := filepath.Join(h.home, ".local", "state", "leger")
	for n, args := range [][]string{
		{"secrets", "sync"}, {"secrets", "sync", "--restart"}, {"deploy", "update", "app", "--yes", "--settle", "1ms"},
	} {
		h.legerIn(t.Context(), 0, canary+fmt.Sprint(n), "secrets", "set", "api_key")
		h.commit(map[string]string{"web.container": web(fmt.Sprintf("Label=n=%d", n))})
		release, err := secretsync.NewLock(state, nil).Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		said := make(chan said)
		var waiting signalled
		waiting.text, waiting.seen = "another leger (", make(chan struct{})
		go func() { said <- h.runTo(ctx, &waiting, args...) }()
		select {
		case <-waiting.seen:
		case s := <-said:
			t.Fatalf("leger %q did not wait: %d %s", args, s.code, s.stderr)
		}
		if got, _ := h.podman.Secret("api_key"); string(got.Value) == canary+fmt.Sprint(n) {
			t.Errorf("leger %q brought the value while another held the lock", args)
		}
		release()
		if s := <-said; s.code != 0 {
			t.Errorf("leger %q ended with %d: %s", args, s.code, s.stderr)
		}
		cancel()
		if got, _ := h.podman.Secret("api_key"); string(got.Value) != canary+fmt.Sprint(n) {
			t.Errorf("leger %q did not bring the value", args)
		}
	}
}

// signalled closes seen when text was written to it.
type signalled struct {
	text string
	seen chan struct{}

	mu  sync.Mutex
	all bytes.Buffer
}

func (s *signalled) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := bytes.Contains(s.all.Bytes(), []byte(s.text))
	n, err := s.all.Write(p)
	if !before && bytes.Contains(s.all.Bytes(), []byte(s.text)) {
		close(s.seen)
	}
	return n, err
}
