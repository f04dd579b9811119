package podman_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/podman/podmantest"
	"leger.run/leger/internal/run"
)

const canary = "canary-5f1d-podman"

func name(t testing.TB, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func text(s string) leger.Plaintext { return leger.NewPlaintext([]byte(s)) }

func wantCode(t testing.TB, err error, want *leger.Error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want code %s", err, want.Code)
	}
}

func client(t testing.TB, cfg podman.Config) *podman.Client {
	t.Helper()
	c := podman.New(cfg)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func startFake(t testing.TB) *podmantest.Fake {
	t.Helper()
	// Not t.TempDir, whose path may be too long for a socket's.
	dir, err := os.MkdirTemp("", "podman")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	fake, err := podmantest.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Stop)
	return fake
}

func TestNoPodmanAtAll(t *testing.T) {
	t.Parallel()
	// No socket, and a PATH with nothing in it.
	c := client(t, podman.Config{RuntimeDir: t.TempDir(), Runner: run.New(run.Config{Path: t.TempDir()})})
	_, err := c.Version(t.Context())
	wantCode(t, err, leger.ErrMissingPart)
	var e *leger.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, "install") {
		t.Errorf("the hint does not say what to install: %v", err)
	}
}

// systemd keeps Podman's socket open when the podman program is gone, or cannot
// start: it takes the connection and ends it. That once was told as an answer cut
// off, and kept legerd from looking any further.
func TestASocketWithNothingBehindItIsNoWay(t *testing.T) {
	t.Parallel()
	runtime, err := os.MkdirTemp("", "pod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	if err := os.Mkdir(filepath.Join(runtime, "podman"), 0o700); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(runtime, "podman", "podman.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })

	c := client(t, podman.Config{RuntimeDir: runtime, Runner: run.New(run.Config{Path: t.TempDir()})})
	_, err = c.Version(t.Context())
	wantCode(t, err, leger.ErrMissingPart)

	// Podman comes back: the very next call finds it.
	if err := errors.Join(l.Close(), os.RemoveAll(socket)); err != nil {
		t.Fatal(err)
	}
	fake := startFake(t)
	if err := os.Symlink(fake.Socket, socket); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err != nil {
		t.Errorf("Podman is back, but: %v", err)
	}
}

func TestNamedSocketIsTheOnlyOneTried(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	runtime := filepath.Dir(filepath.Dir(fake.Socket))
	c := client(t, podman.Config{Socket: filepath.Join(t.TempDir(), "nobody.sock"), RuntimeDir: runtime})
	_, err := c.Version(t.Context())
	wantCode(t, err, leger.ErrMissingPart)
	if calls := fake.Calls(); len(calls) != 0 {
		t.Errorf("another Podman was asked: %v", calls)
	}
}

func TestTooOldAndNotPodman(t *testing.T) {
	t.Parallel()
	for version, wantHint := range map[string]string{"4.3.1": "newer Podman", "4.6.9": "newer Podman", "": "Docker"} {
		fake := startFake(t)
		fake.SetVersion(version)
		_, err := client(t, podman.Config{Socket: fake.Socket}).Secrets(t.Context())
		wantCode(t, err, leger.ErrMissingPart)
		var e *leger.Error
		if !errors.As(err, &e) || !strings.Contains(e.Hint, wantHint) {
			t.Errorf("version %q: hint %q does not mention %q", version, e.Hint, wantHint)
		}
	}
}

// A replace of a name that is not there deletes the only other secret on Podman
// 4 (github.com/containers/podman, issue 27130): somebody's own secret was lost.
func TestReplaceOfAMissingNameLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.SetVersion("4.9.3")
	fake.Put("theirs", "precious", nil)
	c := client(t, podman.Config{Socket: fake.Socket})
	if err := c.CreateSecret(t.Context(), name(t, "ours"), text("v"), nil, true); err != nil {
		t.Fatal(err)
	}
	if s, ok := fake.Secret("theirs"); !ok || string(s.Value) != "precious" {
		t.Errorf("the other secret is gone: %v", fake.Secrets())
	}
	if _, ok := fake.Secret("ours"); !ok {
		t.Error("the new secret was not made")
	}
}

// Podman takes the beginning of an id for a name, so a secret called "0" seemed
// to exist as soon as any id began with 0.
func TestBeginningOfAnIDIsNoName(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.Put("theirs", "v", nil) // its id begins with zeros
	c := client(t, podman.Config{Socket: fake.Socket})
	_, err := c.SecretInfo(t.Context(), name(t, "000"))
	wantCode(t, err, leger.ErrNotFound)
	wantCode(t, c.RemoveSecret(t.Context(), "000"), leger.ErrInvalid)
	if err := c.CreateSecret(t.Context(), name(t, "000"), text("v"), nil, false); err != nil {
		t.Error(err)
	}
}

func TestComesBackAfterPodmanStopped(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	c := client(t, podman.Config{Socket: fake.Socket})
	if _, err := c.Secrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	fake.Stop()
	if _, err := c.Secrets(t.Context()); err == nil {
		t.Fatal("a stopped Podman answered")
	}
	if err := fake.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Secrets(t.Context()); err != nil {
		t.Fatalf("Podman is back, but: %v", err)
	}
}

func TestPodmansOwnFailureIsUnavailable(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	c := client(t, podman.Config{Socket: fake.Socket})
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	fake.Break(1)
	_, err := c.Secrets(t.Context())
	wantCode(t, err, leger.ErrUnavailable)
	if !strings.Contains(err.Error(), "disk quota exceeded") {
		t.Errorf("Podman's own words are lost: %v", err)
	}
}

func TestASilentPodmanTimesOut(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "mute")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listen(t, socket)
	c := client(t, podman.Config{Socket: socket, Timeout: 50 * time.Millisecond})
	_, err = c.Secrets(t.Context())
	wantCode(t, err, leger.ErrUnavailable)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the cause is not the deadline: %v", err)
	}
}

func TestValueIsInNoURLNorLog(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	var log bytes.Buffer
	c := client(t, podman.Config{
		Socket: fake.Socket,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err := c.CreateSecret(t.Context(), name(t, "key"), text(canary), map[string]string{"a": "b"}, false); err != nil {
		t.Fatal(err)
	}
	fake.Break(1)
	failed := c.CreateSecret(t.Context(), name(t, "key2"), text(canary), nil, false)
	if failed == nil {
		t.Fatal("a failing Podman made a secret")
	}
	seen := strings.Join(fake.Calls(), "\n") + log.String() + failed.Error()
	if strings.Contains(seen, canary) {
		t.Errorf("the value leaked: %s", seen)
	}
	if s, _ := fake.Secret("key"); string(s.Value) != canary {
		t.Error("the canary did not even arrive")
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]podman.Version{
		"5.8.6":     {Major: 5, Minor: 8, Patch: 6},
		"4.9.3\n":   {Major: 4, Minor: 9, Patch: 3},
		"6.0.0-dev": {Major: 6},
		"5.4.0-rc1": {Major: 5, Minor: 4},
	} {
		got, err := podman.ParseVersion(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
	for _, in := range []string{"", "5", "5.8", "5.8.6.1", "5.x.1", "-1.2.3", "5.8.99999"} {
		if v, err := podman.ParseVersion(in); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%q: got %v, %v", in, v, err)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("5.8.6")
	f.Add("5.9.0-dev+x")
	f.Fuzz(func(t *testing.T, in string) {
		v, err := podman.ParseVersion(in)
		if err != nil {
			return
		}
		if again, err := podman.ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q gave %v, which gave %v, %v", in, v, again, err)
		}
	})
}
