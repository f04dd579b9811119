package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/daemon"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman/podmantest"
)

const canary = "canary-9c41-daemon"

// The test binary is legerd when it is told so: these tests run the whole program
// in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("DAEMON_TEST_IS_LEGERD") != "" {
		os.Exit(daemon.Main(context.Background(), daemon.Process{
			Args: os.Args[1:], Lookup: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr, Version: "9.8.7",
		}))
	}
	os.Exit(m.Run())
}

// legerd is a running daemon.
type legerd struct {
	cmd    *exec.Cmd
	log    *syncBuffer
	client *localvault.Client
	ended  chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// home is a place for one daemon's files, with a short path for its sockets.
func home(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ld")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func fakePodman(t testing.TB) *podmantest.Fake {
	t.Helper()
	fake, err := podmantest.Start(t.Context(), home(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Stop)
	return fake
}

// command makes legerd's process with nothing of ours in its environment.
func command(t testing.TB, home string, args, env []string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append([]string{
		"DAEMON_TEST_IS_LEGERD=1", "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "PATH=/nonexistent",
		"GOCOVERDIR=" + os.Getenv("GOCOVERDIR"),
	}, env...)
	return cmd
}

// start runs legerd and waits until it answers.
func start(t testing.TB, home string, args []string, env ...string) *legerd {
	t.Helper()
	d := &legerd{cmd: command(t, home, args, env), log: &syncBuffer{}, ended: make(chan error, 1)}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	d.client = localvault.NewClient(localvault.ClientConfig{Socket: localvault.SocketPath(home)})
	t.Cleanup(d.client.Close)
	eventually(t, "legerd to answer", func() bool {
		_, err := d.client.Status(t.Context())
		return err == nil
	})
	return d
}

// stop ends legerd as systemd does, and checks that it went in order.
func (d *legerd) stop(t testing.TB) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.ended:
		if err != nil {
			t.Fatalf("legerd ended with %v\n%s", err, d.log)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("legerd does not stop\n%s", d.log)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func TestSyncReachesPodmanAndSurvivesARestart(t *testing.T) {
	t.Parallel()
	fake, dir := fakePodman(t), home(t)
	env := "LEGERD_PODMAN_SOCKET=" + fake.Socket
	d := start(t, dir, []string{"--verbose"}, env)
	ctx, u, n := t.Context(), user(t, 1), name(t, "openai_api_key")
	if err := d.client.CreateVersion(ctx, u, n, 3, text(canary)); err != nil {
		t.Fatal(err)
	}
	r, err := d.client.Reconcile(ctx, u)
	if err != nil || verdicts(r) != "openai_api_key created" {
		t.Fatalf("%v %v", r, err)
	}
	s, _ := fake.Secret("openai_api_key")
	if string(s.Value) != canary || s.Labels[daemon.LabelVersion] != "3" || s.Labels[daemon.LabelUser] != u.String() {
		t.Errorf("Podman got labels %v", s.Labels)
	}
	// A write is followed without being asked.
	if err := d.client.CreateVersion(ctx, u, n, 4, text(canary+"4")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "version 4 in Podman", func() bool {
		s, _ := fake.Secret("openai_api_key")
		return string(s.Value) == canary+"4"
	})
	status, err := d.client.Status(ctx)
	if err != nil || status.Version != "9.8.7" || status.PID != d.cmd.Process.Pid || status.Podman.Version != "5.8.6" {
		t.Errorf("%+v %v", status, err)
	}
	d.stop(t)
	if _, err := os.Stat(localvault.SocketPath(dir)); err == nil {
		t.Error("the socket was left behind")
	}

	// Removed by hand while legerd was away.
	fake.Drop("openai_api_key")
	d2 := start(t, dir, []string{"--verbose"}, env)
	eventually(t, "the secret to come back", func() bool { _, ok := fake.Secret("openai_api_key"); return ok })
	d2.stop(t)

	seen := d.log.String() + d2.log.String() + strings.Join(fake.Calls(), "\n")
	if strings.Contains(seen, canary) {
		t.Errorf("the value leaked:\n%s", seen)
	}
	if !strings.Contains(seen, "openai_api_key") {
		t.Error("the log tells nothing, so the search for the value proves nothing")
	}
}

func TestServesWithoutPodman(t *testing.T) {
	t.Parallel()
	d := start(t, home(t), nil)
	ctx, u, n := t.Context(), user(t, 1), name(t, "k")
	if err := d.client.CreateVersion(ctx, u, n, 1, text("v")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.client.Get(ctx, u, n, 0); err != nil {
		t.Fatal(err)
	}
	_, err := d.client.Reconcile(ctx, u)
	wantCode(t, err, leger.ErrMissingPart)
	d.stop(t)
}

// Podman comes back while legerd runs: nobody has to do anything.
func TestCatchesUpWhenPodmanComesBack(t *testing.T) {
	t.Parallel()
	fake := fakePodman(t)
	fake.Stop()
	d := start(t, home(t), []string{"--podman-socket", fake.Socket})
	u, n := user(t, 1), name(t, "k")
	if err := d.client.CreateVersion(t.Context(), u, n, 1, text("v")); err != nil {
		t.Fatal(err)
	}
	_, err := d.client.Reconcile(t.Context(), u)
	wantCode(t, err, leger.ErrMissingPart)
	if err := fake.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the secret", func() bool { _, ok := fake.Secret("k"); return ok })
	d.stop(t)
}

func TestTellsTheServiceManager(t *testing.T) {
	t.Parallel()
	dir := home(t)
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // the test ends
	read := func() string {
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	d := start(t, dir, nil, "NOTIFY_SOCKET="+path)
	if got := read(); !strings.Contains(got, "READY=1") {
		t.Errorf("at start: %q", got)
	}
	d.stop(t)
	if got := read(); !strings.Contains(got, "STOPPING=1") {
		t.Errorf("at the end: %q", got)
	}
}

// systemd listens and starts legerd with the socket as descriptor 3.
func TestTakesTheSocketFromSystemd(t *testing.T) {
	t.Parallel()
	dir := home(t)
	path := filepath.Join(dir, "handed")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID is the daemon's own pid: a shell says it and becomes the daemon.
	cmd := command(t, dir, nil, []string{"LISTEN_FDS=1"})
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0]}
	cmd.ExtraFiles = []*os.File{file}
	log := &syncBuffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &legerd{cmd: cmd, log: log, ended: make(chan error, 1)}
	go func() { d.ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	// A request waits in the socket until legerd is there.
	client := localvault.NewClient(localvault.ClientConfig{Socket: path})
	t.Cleanup(client.Close)
	s, err := client.Status(t.Context())
	if err != nil || s.PID != cmd.Process.Pid {
		t.Fatalf("%+v %v\n%s", s, err, log)
	}
	if _, err := os.Stat(localvault.SocketPath(dir)); err == nil {
		t.Error("it listens on a socket of its own as well")
	}
	d.stop(t)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("systemd's socket was removed: %v", err)
	}
}

func TestSecondDaemonIsToldWhoWasFirst(t *testing.T) {
	t.Parallel()
	dir := home(t)
	d := start(t, dir, nil)
	out, err := command(t, dir, []string{"--socket", filepath.Join(dir, "other")}, nil).CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 {
		t.Fatalf("%v %s", err, out)
	}
	if !strings.Contains(string(out), "process "+strconv.Itoa(d.cmd.Process.Pid)) || !strings.Contains(string(out), "hint: ") {
		t.Errorf("not a helpful error: %s", out)
	}
	// Another store, the same socket.
	out, err = command(t, dir, []string{"--data", filepath.Join(dir, "data2")}, nil).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process answers") {
		t.Errorf("%v %s", err, out)
	}
	d.stop(t)
}

func TestNoCoreDumpsAndNoDebuggers(t *testing.T) {
	t.Parallel()
	d := start(t, home(t), nil)
	limits, err := os.ReadFile("/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			if f := strings.Fields(rest); f[0] != "0" || f[1] != "0" {
				t.Errorf("core dumps: %s", line)
			}
			return
		}
	}
	t.Error("the kernel shows no limit of core dumps")
}

func TestListensForSetecsToolsWhenAsked(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	d := start(t, home(t), []string{"--listen", addr})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // the test ends
	// Leger's own part is not served there.
	if _, err := conn.Write([]byte("GET /leger/v1/status HTTP/1.0\r\nSec-X-Tailscale-No-Browsers: setec\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), " 404 ") {
		t.Errorf("%q %v", buf[:n], err)
	}
	d.stop(t)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	dir := home(t)
	file := filepath.Join(dir, "value")
	if err := os.WriteFile(file, []byte("/somewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		env  []string
		code int
		says string
	}{
		{[]string{"version"}, nil, 0, "legerd 9.8.7\n"},
		{[]string{"--version"}, nil, 0, "legerd 9.8.7\n"},
		{[]string{"--nonsense"}, nil, 2, "hint: legerd --help"},
		{[]string{"serve"}, nil, 2, `"serve" is not a command`},
		{nil, []string{"LEGERD_DATA_FILE=" + file + "x"}, 2, "LEGERD_DATA_FILE"},
		{nil, []string{"HOME=", "XDG_RUNTIME_DIR=/x"}, 2, "--data DIR"},
		{nil, []string{"XDG_RUNTIME_DIR="}, 1, "--socket PATH"},
		{nil, []string{"LEGERD_KEY=short"}, 1, "base64"},
		{[]string{"--listen", "0.0.0.0:1"}, nil, 1, "loopback"},
	} {
		out, err := command(t, dir, test.args, test.env).CombinedOutput()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != test.code || !strings.Contains(string(out), test.says) {
			t.Errorf("%v %v: exit %d, says\n%s", test.args, test.env, code, out)
		}
	}
	out, err := command(t, dir, []string{"--help"}, nil).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"--socket", "--data", "--listen", "--podman-socket", "LEGERD_SOCKET", "LEGERD_DATA", "LEGERD_KEY", "LEGERD_KEY_PREVIOUS", "rekey", "LEGERD_PODMAN_SOCKET", "_FILE"} {
		if !strings.Contains(string(out), word) {
			t.Errorf("--help does not mention %s", word)
		}
	}
}

func TestSettingsComeFromFilesToo(t *testing.T) {
	t.Parallel()
	fake, dir := fakePodman(t), home(t)
	file := filepath.Join(dir, "podman")
	if err := os.WriteFile(file, []byte(fake.Socket+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, dir, nil, "LEGERD_PODMAN_SOCKET_FILE="+file)
	if _, err := d.client.Reconcile(t.Context(), user(t, 1)); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, ".local", "share", "leger", "legerd", "state.json"))
	var s struct{ User string }
	if err != nil || json.Unmarshal(text, &s) != nil || s.User != user(t, 1).String() {
		t.Errorf("state: %s %v", text, err)
	}
	d.stop(t)
}
