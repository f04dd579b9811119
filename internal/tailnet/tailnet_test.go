package tailnet_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/tailnet"
)

func now() time.Time { return time.Date(2025, 11, 23, 12, 0, 0, 0, time.UTC) }

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tailscaled serves h as tailscaled does: on a unix socket, refusing every Host
// header but its own. It gives the socket's path.
func tailscaled(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	// Not t.TempDir: a socket's path holds 108 bytes at most.
	dir, err := os.MkdirTemp("", "tn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "local-tailscaled.sock" {
			http.Error(w, "invalid localapi request", http.StatusForbidden)
			return
		}
		h(w, r)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return socket
}

func answering(t *testing.T, body []byte) string {
	t.Helper()
	return tailscaled(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/localapi/v0/status" || r.URL.Query().Get("peers") != "false" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	})
}

func alice(t *testing.T) leger.Identity {
	t.Helper()
	id, err := leger.ParseTailscaleUserID("u123456789")
	if err != nil {
		t.Fatal(err)
	}
	return leger.Identity{TailscaleUserID: id, Email: "alice@github", Tailnet: "example.ts.net", DeviceID: "nPqRsTuVwXyZ11CNTRL"}
}

func TestIdentityOfARunningNode(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"running", "older"} {
		got, err := tailnet.New(tailnet.Config{Socket: answering(t, fixture(t, name)), Now: now}).Identity(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(alice(t), got, cmp.AllowUnexported(leger.TailscaleUserID{})); diff != "" {
			t.Errorf("%s: identity (-want +got):\n%s", name, diff)
		}
	}
}

// Every state but a running, untagged, valid node still shows alice's identity in
// the fixture. None of them may sign anybody in, and each says what to type.
func TestIdentityIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fixture string
		want    error
		message string
		hint    string
	}{
		{"stopped", leger.ErrMissingPart, "switched off", "sudo tailscale up"},
		{"needs-login", leger.ErrMissingPart, "not signed in", "sudo tailscale up"},
		{"needs-approval", leger.ErrMissingPart, "approval", "admin/machines"},
		{"starting", leger.ErrMissingPart, "starting", "try again"},
		{"expired", leger.ErrMissingPart, "expired", "--force-reauth"},
		{"key-past", leger.ErrMissingPart, "expired", "--force-reauth"},
		{"unknown-state", leger.ErrMissingPart, "Hibernating", "tailscale status"},
		{"other-user", leger.ErrForbidden, "another user", "sign that user out"},
		{"tagged", leger.ErrForbidden, "tag:server, tag:ci", "--advertise-tags="},
		{"user-zero", leger.ErrForbidden, "no user", "sudo tailscale up"},
		{"user-unmatched", leger.ErrForbidden, "no user", "sudo tailscale up"},
		{"no-self", leger.ErrForbidden, "no user", "sudo tailscale up"},
		{"odd-login", leger.ErrForbidden, "cannot use", "tailscale status --json"},
	} {
		t.Run(c.fixture, func(t *testing.T) {
			t.Parallel()
			got, err := tailnet.New(tailnet.Config{Socket: answering(t, fixture(t, c.fixture)), Now: now}).Identity(t.Context())
			if !errors.Is(err, c.want) {
				t.Fatalf("Identity = %v, %v; want %v", got, err, leger.CodeOf(c.want))
			}
			assertTells(t, err, c.message, c.hint)
			if got != (leger.Identity{}) {
				t.Errorf("an identity came with the error: %v", got)
			}
		})
	}
}

func TestTailscaledCannotBeAsked(t *testing.T) {
	t.Parallel()
	absent := func(context.Context) ([]byte, error) {
		return nil, leger.Errorf(leger.CodeMissingPart, "tailscale is not installed")
	}
	mute := func(context.Context) ([]byte, error) { return []byte("failed to connect to local tailscaled"), nil }
	nowhere := filepath.Join(t.TempDir(), "none.sock")
	refusing := func(code int) string {
		return tailscaled(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	for name, c := range map[string]struct {
		cfg           tailnet.Config
		want          error
		message, hint string
	}{
		"not installed":       {tailnet.Config{Socket: nowhere, StatusCommand: absent}, leger.ErrMissingPart, "not installed", "tailscale.com/download"},
		"not running":         {tailnet.Config{Socket: nowhere, StatusCommand: mute}, leger.ErrMissingPart, "not running", "systemctl enable --now tailscaled"},
		"no socket, no other": {tailnet.Config{Socket: nowhere}, leger.ErrMissingPart, "not running", "systemctl enable --now tailscaled"},
		"stale socket":        {tailnet.Config{Socket: staleSocket(t)}, leger.ErrMissingPart, "not running", "systemctl enable --now tailscaled"},
		"no permission":       {tailnet.Config{Socket: refusing(http.StatusForbidden)}, leger.ErrForbidden, "may not ask", "--operator=$USER"},
		"broken daemon":       {tailnet.Config{Socket: refusing(http.StatusInternalServerError)}, leger.ErrMissingPart, "did not answer", "restart tailscaled"},
		"not JSON":            {tailnet.Config{Socket: answering(t, []byte("<html>"))}, leger.ErrMissingPart, "cannot be read", "update"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tailnet.New(c.cfg).Identity(t.Context())
			if !errors.Is(err, c.want) {
				t.Fatalf("error = %v; want %v", err, leger.CodeOf(c.want))
			}
			assertTells(t, err, c.message, c.hint)
		})
	}
}

// staleSocket is what a daemon that was killed leaves behind.
func staleSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheCommandStandsInForTheSocket(t *testing.T) {
	t.Parallel()
	node := tailnet.New(tailnet.Config{
		Socket: filepath.Join(t.TempDir(), "none.sock"), Now: now,
		StatusCommand: func(context.Context) ([]byte, error) { return fixture(t, "running"), nil },
	})
	got, err := node.Identity(t.Context())
	if err != nil || got != alice(t) {
		t.Errorf("Identity = %v, %v", got, err)
	}
}

func TestIdentityIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	socket := tailscaled(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := tailnet.New(tailnet.Config{Socket: socket}).Identity(ctx)
	if !errors.Is(err, leger.ErrInterrupted) || !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v; want interrupted", err)
	}
}

func assertTells(t *testing.T, err error, message, hint string) {
	t.Helper()
	var e *leger.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *leger.Error", err)
	}
	if !strings.Contains(e.Message, message) {
		t.Errorf("message %q does not say %q", e.Message, message)
	}
	if !strings.Contains(e.Hint, hint) {
		t.Errorf("hint %q does not say %q", e.Hint, hint)
	}
}

// Whatever the status says, an identity that comes out is a valid one.
func FuzzIdentity(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no fixtures", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		node := tailnet.New(tailnet.Config{
			Socket: "/nonexistent/leger-test.sock", Now: now,
			StatusCommand: func(context.Context) ([]byte, error) { return raw, nil },
		})
		id, err := node.Identity(t.Context())
		if err != nil {
			var e *leger.Error
			if !errors.As(err, &e) || e.Hint == "" {
				t.Errorf("error without a hint: %v", err)
			}
			return
		}
		if err := id.Validate(); err != nil {
			t.Errorf("an invalid identity came out: %v", err)
		}
	})
}
