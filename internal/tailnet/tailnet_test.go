package tailnet_test

import (
	"bytes"
	"context"
	"encoding/json"
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

// fixture is an answer of a real daemon, recorded by e2e (TestSignInWithEveryTailscale)
// as VERSION/STATE and VERSION/STATE.peers.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// edited is a recorded answer of a running node with something else in it, for states
// that no daemon of a test can be brought to. What is edited in are fields and values of
// tailscale.com/ipn/ipnstate.Status and tailscale.com/ipn.State.
func edited(t testing.TB, name string, edit func(status, self map[string]any)) []byte {
	t.Helper()
	var status map[string]any
	if err := json.Unmarshal(fixture(t, name), &status); err != nil {
		t.Fatal(err)
	}
	edit(status, status["Self"].(map[string]any))
	b, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const running, olderRunning = "1.102.5/running", "1.92.1/running"

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
	return leger.Identity{TailscaleUserID: id, Email: "alice@github", Tailnet: "example.ts.net", DeviceID: "TESTCTRL00000001"}
}

// Older daemons have the tailnet in one place only.
func TestIdentityWithoutCurrentTailnet(t *testing.T) {
	t.Parallel()
	older := func(status, _ map[string]any) { delete(status, "CurrentTailnet") }
	socket := answeringPeers(t, edited(t, olderRunning, older), edited(t, olderRunning+".peers", older), new(atomic.Int32))
	got, err := tailnet.New(tailnet.Config{Socket: socket, Now: now}).Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alice(t), got, cmp.AllowUnexported(leger.TailscaleUserID{})); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// The answers of real daemons, recorded by e2e (TestSignInWithEveryTailscale). Until
// 1.100 tailscaled left the profile out without the peers, so that nobody with an
// older one could sign in: the fixtures had been written by hand, in the shape of the
// newest. The peers are asked for only where they are needed.
func TestIdentityByRecordedAnswers(t *testing.T) {
	t.Parallel()
	recorded := func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }
	missing, forbidden := leger.ErrMissingPart, leger.ErrForbidden
	for _, c := range []struct {
		version, state string
		peers          int32 // how often the peers are asked for
		refusal        error // nil: none
		message, hint  string
	}{
		{version: "1.92.1", state: "running", peers: 1},
		{version: "1.102.5", state: "running"},
		{version: "1.92.1", state: "stopped", refusal: missing, message: "switched off", hint: "sudo tailscale up"},
		{version: "1.102.5", state: "stopped", refusal: missing, message: "switched off", hint: "sudo tailscale up"},
		{version: "1.92.1", state: "needs-login", refusal: missing, message: "not signed in", hint: "sudo tailscale up"},
		{version: "1.102.5", state: "needs-login", refusal: missing, message: "not signed in", hint: "sudo tailscale up"},
		{version: "1.92.1", state: "needs-approval", refusal: missing, message: "approval", hint: "admin/machines"},
		{version: "1.102.5", state: "needs-approval", refusal: missing, message: "approval", hint: "admin/machines"},
		{version: "1.92.1", state: "expired", refusal: missing, message: "expired", hint: "--force-reauth"},
		{version: "1.102.5", state: "expired", refusal: missing, message: "expired", hint: "--force-reauth"},
		{version: "1.92.1", state: "tagged", refusal: forbidden, message: "tag:server, tag:ci", hint: "--advertise-tags="},
		{version: "1.102.5", state: "tagged", refusal: forbidden, message: "tag:server, tag:ci", hint: "--advertise-tags="},
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
				if c.refusal != nil {
					if !errors.Is(err, c.refusal) || got != (leger.Identity{}) {
						t.Errorf("by %s: %v, %v; want %v and nobody", by, got, err, c.refusal)
					}
					assertTells(t, err, c.message, c.hint)
					continue
				}
				if err != nil || got != alice(t) {
					t.Errorf("by %s: %v, %v; want %v", by, got, err, alice(t))
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
	first := fixture(t, olderRunning)
	bob := bytes.ReplaceAll(fixture(t, olderRunning+".peers"), []byte("123456789"), []byte("42"))
	bob = bytes.ReplaceAll(bob, []byte("alice@github"), []byte("bob@github"))
	got, err := tailnet.New(tailnet.Config{Socket: answeringPeers(t, first, bob, new(atomic.Int32)), Now: now}).Identity(t.Context())
	if err != nil || got.Email != "bob@github" || got.TailscaleUserID.String() != "u42" {
		t.Errorf("the node is bob's now: %v, %v", got, err)
	}
	stopped := fixture(t, "1.92.1/stopped.peers")
	_, err = tailnet.New(tailnet.Config{Socket: answeringPeers(t, first, stopped, new(atomic.Int32)), Now: now}).Identity(t.Context())
	assertTells(t, err, "switched off", "sudo tailscale up")
	// A daemon that leaves the profile out of both vouches for nobody.
	_, err = tailnet.New(tailnet.Config{Socket: answering(t, first), Now: now}).Identity(t.Context())
	assertTells(t, err, "no user", "sudo tailscale up")
}

// Every state but a running, untagged, valid node may still show alice's identity. None
// of them may sign anybody in, and each says what to type.
func TestIdentityIsRefused(t *testing.T) {
	t.Parallel()
	state := func(name string) func(status, self map[string]any) {
		return func(status, _ map[string]any) { status["BackendState"] = name }
	}
	user := func(status map[string]any) map[string]any { return status["User"].(map[string]any) }
	for _, c := range []struct {
		name    string
		edit    func(status, self map[string]any)
		want    error
		message string
		hint    string
	}{
		{"stopped", state("Stopped"), leger.ErrMissingPart, "switched off", "sudo tailscale up"},
		{"needs login", state("NeedsLogin"), leger.ErrMissingPart, "not signed in", "sudo tailscale up"},
		{"login begun", func(status, _ map[string]any) {
			status["BackendState"], status["AuthURL"] = "NeedsLogin", "https://login.tailscale.com/a/0"
		}, leger.ErrMissingPart, "not signed in", "waiting in the browser"},
		{"needs approval", state("NeedsMachineAuth"), leger.ErrMissingPart, "approval", "admin/machines"},
		{"no state", state("NoState"), leger.ErrMissingPart, "starting", "try again"},
		{"starting", state("Starting"), leger.ErrMissingPart, "starting", "try again"},
		{"another user's", state("InUseOtherUser"), leger.ErrForbidden, "another user", "sign that user out"},
		{"unknown state", state("Hibernating"), leger.ErrMissingPart, "Hibernating", "tailscale status"},
		{"expired", func(_, self map[string]any) { self["Expired"] = true }, leger.ErrMissingPart, "expired", "--force-reauth"},
		{"key past", func(_, self map[string]any) { self["KeyExpiry"] = "2020-05-01T00:00:00Z" }, leger.ErrMissingPart, "expired", "--force-reauth"},
		{"tagged", func(_, self map[string]any) { self["Tags"] = []string{"tag:a"} }, leger.ErrForbidden, "tag:a", "--advertise-tags="},
		{"no self", func(status, _ map[string]any) { status["Self"] = nil }, leger.ErrForbidden, "no user", "sudo tailscale up"},
		{"user zero", func(_, self map[string]any) { self["UserID"] = 0 }, leger.ErrForbidden, "no user", "sudo tailscale up"},
		{"user unmatched", func(status, _ map[string]any) {
			status["User"] = map[string]any{"42": user(status)["123456789"]}
		}, leger.ErrForbidden, "no user", "sudo tailscale up"},
		{"odd login", func(status, _ map[string]any) {
			user(status)["123456789"].(map[string]any)["LoginName"] = "ali\x1bce@github"
		}, leger.ErrForbidden, "cannot use", "tailscale status --json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := tailnet.New(tailnet.Config{Socket: answering(t, edited(t, running, c.edit)), Now: now}).Identity(t.Context())
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
		StatusCommand: func(context.Context, bool) ([]byte, error) { return fixture(t, running), nil },
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
	files, err := filepath.Glob("testdata/*/*.json")
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
	f.Add(edited(f, running, func(_, self map[string]any) { self["KeyExpiry"], self["UserID"] = "2020-05-01T00:00:00Z", -1 }))
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
