package tailnet_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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

// answering serves body, whether or not the peers are asked for.
func answering(t *testing.T, body []byte) string {
	t.Helper()
	return answeringPeers(t, body, body, new(atomic.Int32))
}

// answeringPeers serves another body when the peers are asked for, and counts that.
func answeringPeers(t *testing.T, without, with []byte, asked *atomic.Int32) string {
	t.Helper()
	return tailscaled(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/localapi/v0/status?peers=false":
			_, _ = w.Write(without)
		case "/localapi/v0/status?peers=true":
			asked.Add(1)
			_, _ = w.Write(with)
		default:
			http.NotFound(w, r)
		}
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
		without, with := fixture(t, name), fixture(t, name)
		if name == "older" {
			with = fixture(t, "older.peers")
		}
		socket := answeringPeers(t, without, with, new(atomic.Int32))
		got, err := tailnet.New(tailnet.Config{Socket: socket, Now: now}).Identity(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(alice(t), got, cmp.AllowUnexported(leger.TailscaleUserID{})); diff != "" {
			t.Errorf("%s: identity (-want +got):\n%s", name, diff)
		}
	}
}

// The answers of real daemons, recorded by e2e (TestSignInWithEveryTailscale). Until
// 1.100 tailscaled left the profile out without the peers, so that nobody with an
// older one could sign in: the fixtures had been written by hand, in the shape of the
// newest. The peers are asked for only where they are needed.
func TestIdentityByRecordedAnswers(t *testing.T) {
	t.Parallel()
	recorded := func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		version, state string
		message, hint  string // of the refusal
		peers          int32  // how often the peers are asked for
	}{
		{version: "1.92.1", state: "running", peers: 1},
		{version: "1.102.5", state: "running"},
		{version: "1.92.1", state: "stopped", message: "switched off", hint: "sudo tailscale up"},
		{version: "1.102.5", state: "stopped", message: "switched off", hint: "sudo tailscale up"},
		{version: "1.92.1", state: "needs-login", message: "not signed in", hint: "sudo tailscale up"},
		{version: "1.102.5", state: "needs-login", message: "not signed in", hint: "sudo tailscale up"},
		{version: "1.92.1", state: "needs-approval", message: "approval", hint: "admin/machines"},
		{version: "1.102.5", state: "needs-approval", message: "approval", hint: "admin/machines"},
		{version: "1.92.1", state: "expired", message: "expired", hint: "--force-reauth"},
		{version: "1.102.5", state: "expired", message: "expired", hint: "--force-reauth"},
		{version: "1.92.1", state: "tagged", message: "tag:server, tag:ci", hint: "--advertise-tags="},
		{version: "1.102.5", state: "tagged", message: "tag:server, tag:ci", hint: "--advertise-tags="},
	} {
		t.Run(c.version+"/"+c.state, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(c.version, c.state)
			var asked atomic.Int32
			socket := answeringPeers(t, fixture(t, name), fixture(t, name+".peers"), &asked)
			command := func(_ context.Context, peers bool) ([]byte, error) {
				if peers {
					return fixture(t, name+".peers"), nil
				}
				return fixture(t, name), nil
			}
			for by, cfg := range map[string]tailnet.Config{
				"socket":  {Socket: socket, Now: recorded},
				"command": {Socket: filepath.Join(t.TempDir(), "none.sock"), StatusCommand: command, Now: recorded},
			} {
				got, err := tailnet.New(cfg).Identity(t.Context())
				if c.message != "" {
					assertTells(t, err, c.message, c.hint)
					continue
				}
				want := alice(t)
				want.DeviceID = "TESTCTRL00000001"
				if err != nil || got != want {
					t.Errorf("by %s: %v, %v; want %v", by, got, err, want)
				}
			}
			if got := asked.Load(); got != c.peers {
				t.Errorf("the peers were asked for %d times, want %d", got, c.peers)
			}
		})
	}
}

// Between the question without and the one with peers the node may have changed
// hands: what is taken is one answer, never the user of one and the profile of another.
func TestTheSecondAnswerCountsAlone(t *testing.T) {
	t.Parallel()
	first := fixture(t, "older")
	bob := bytes.ReplaceAll(fixture(t, "older.peers"), []byte("123456789"), []byte("42"))
	bob = bytes.ReplaceAll(bob, []byte("alice@github"), []byte("bob@github"))
	got, err := tailnet.New(tailnet.Config{Socket: answeringPeers(t, first, bob, new(atomic.Int32)), Now: now}).Identity(t.Context())
	if err != nil || got.Email != "bob@github" || got.TailscaleUserID.String() != "u42" {
		t.Errorf("the node is bob's now: %v, %v", got, err)
	}
	stopped := fixture(t, "stopped")
	_, err = tailnet.New(tailnet.Config{Socket: answeringPeers(t, first, stopped, new(atomic.Int32)), Now: now}).Identity(t.Context())
	assertTells(t, err, "switched off", "sudo tailscale up")
	// A daemon that leaves the profile out of both vouches for nobody.
	_, err = tailnet.New(tailnet.Config{Socket: answering(t, first), Now: now}).Identity(t.Context())
	assertTells(t, err, "no user", "sudo tailscale up")
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
	absent := func(context.Context, bool) ([]byte, error) {
		return nil, leger.Errorf(leger.CodeMissingPart, "tailscale is not installed")
	}
	mute := func(context.Context, bool) ([]byte, error) {
		return []byte("failed to connect to local tailscaled"), nil
	}
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
		StatusCommand: func(context.Context, bool) ([]byte, error) { return fixture(t, "running"), nil },
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
	recorded, err2 := filepath.Glob("testdata/*/*.json")
	if err := errors.Join(err, err2); err != nil || len(files) == 0 || len(recorded) == 0 {
		f.Fatal("no fixtures", err)
	}
	files = append(files, recorded...)
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
			StatusCommand: func(context.Context, bool) ([]byte, error) { return raw, nil },
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
