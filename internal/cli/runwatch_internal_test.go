//go:build linux

package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/wire"
)

// A secret changed and the server went away before its value was read. This machine's copy
// is the former value, so the command was taken to have the new one, and kept the former one
// for good.
func TestAChangeIsNotMissedWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	away.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", wire.ContentType)
		body := `{"success":true,"data":{"secrets":[{"name":"key","version":2,"value_id":"b"}]}}`
		switch {
		case r.URL.Path != "/api/secrets" && away.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			body = `{"success":false,"error":{"code":"unavailable","message":"the disk is full"}}`
		case r.URL.Path != "/api/secrets":
			body = `{"success":true,"data":{"name":"key","version":2,"value":"two"}}`
		}
		_, _ = io.WriteString(w, body)
	}))
	defer srv.Close()
	c, err := client.New(client.Config{Server: srv.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := choice{only: []string{"key"}}.read()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	a := newApp(Env{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &said,
		LookupEnv: func(string) (string, bool) { return "", false },
		Environ:   func() []string { return []string{"HOME=/"} },
	})
	first, err := run.StartForeground("/bin/sleep", "sleep", []string{"1000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{
		app: a, want: want, program: "/bin/sleep", command: []string{"sleep", "1000"}, running: first,
		env: []string{"HOME=/", "KEY=one"}, seen: map[leger.SecretName]string{want.named[0].secret: "1 a"},
	}
	defer func() { w.running.Signal(syscall.SIGKILL) }()

	for range 2 {
		if err := w.check(t.Context(), c, nil); err != nil || w.running != first {
			t.Fatalf("while the server is away: %v", err)
		}
	}
	if n := strings.Count(said.String(), "goes on with the secrets that it has: the disk is full"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
	away.Store(false)
	if err := w.check(t.Context(), c, nil); err != nil || w.running == first || !slices.Contains(w.env, "KEY=two") {
		t.Fatalf("when it is back: %v, %q", err, said.String())
	}
	select {
	case <-first.Ended():
	case <-time.After(time.Minute):
		t.Error("the former command goes on")
	}
	second := w.running
	if err := w.check(t.Context(), c, nil); err != nil || w.running != second {
		t.Errorf("nothing changed: %v", err)
	}
}
