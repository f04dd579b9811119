package localvault_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger/internal/localvault"
)

// setecProgram builds setec's command line, of the version that go.mod names,
// once per machine: it takes a minute and a half.
func setecProgram(t *testing.T) string {
	t.Helper()
	run := func(env string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = append(os.Environ(), env)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	const module = "github.com/tailscale/setec"
	version := run("X=", "list", "-m", "-f", "{{.Version}}", module)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "leger-dev", "setec-"+version)
	program := filepath.Join(dir, "setec")
	if _, err := os.Stat(program); err != nil {
		run("GOBIN="+dir, "install", module+"/cmd/setec@"+version)
	}
	return program
}

func TestSetecsCommandLineOverTheLoopbackPort(t *testing.T) {
	t.Parallel()
	program := setecProgram(t)
	f := serve(t, localvault.HandlerConfig{})
	addr := serveLoopback(t, f.store)
	setec := func(stdin string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, args...) // G204: the program under test
		cmd.Env = append(os.Environ(), "SETEC_SERVER=http://"+addr)
		cmd.Stdin = strings.NewReader(stdin)
		var out, talk bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &talk
		err := cmd.Run()
		if err != nil {
			t.Logf("setec %v: %s", args, talk.String())
		}
		return out.String(), err
	}
	must := func(stdin string, args ...string) string {
		t.Helper()
		out, err := setec(stdin, args...)
		if err != nil {
			t.Fatalf("setec %v: %v", args, err)
		}
		return out
	}
	u, n := user(t, 1), name(t, "openai_api_key")
	stored := localvault.StoredName(u, n)
	if err := f.client.CreateVersion(t.Context(), u, n, 5, text("from a sync")); err != nil {
		t.Fatal(err)
	}
	if got := must("", "get", stored); got != "from a sync" {
		t.Errorf("get: %q", got)
	}
	must("mine", "put", "my/own")
	must("newer", "put", "my/own")
	if got := must("", "get", "my/own"); got != "mine" {
		t.Errorf("before activate: %q", got)
	}
	must("", "activate", "my/own", "2")
	if got := must("", "get", "my/own"); got != "newer" {
		t.Errorf("after activate: %q", got)
	}
	list := must("", "list")
	for _, want := range []string{stored, "my/own", "1,2"} {
		if !strings.Contains(list, want) {
			t.Errorf("list lacks %s:\n%s", want, list)
		}
	}
	if got := must("", "info", stored); !strings.Contains(got, "Active version: 5") {
		t.Errorf("info: %s", got)
	}
	if _, err := setec("", "get", "nothing"); err == nil {
		t.Error("get of nothing succeeded")
	}
}

// serveLoopback serves the store on a free loopback port, as legerd --listen does.
func serveLoopback(t testing.TB, store *localvault.Store) (addr string) {
	t.Helper()
	ln, err := localvault.ListenLoopback(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := localvault.NewServer(localvault.NewHandler(localvault.HandlerConfig{Store: store}), os.Geteuid(), slog.New(slog.DiscardHandler))
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return ln.Addr().String()
}
