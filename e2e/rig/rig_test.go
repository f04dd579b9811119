//go:build e2e

package rig_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// TestMachine is one machine's whole life: boot, Tailscale, an image, a quadlet
// with a secret, the secret in the container, power off.
func TestMachine(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := stopwatch(t)

	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "hello"), []byte("from the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := rig.Boot(t, rig.Bind{Host: host, Guest: "/mnt/host", ReadOnly: true})
	clock("boot")
	if got := m.Must(ctx, rig.Opts{}, "cat", "/mnt/host/hello"); got != "from the host" {
		t.Errorf("bound file has %q", got)
	}

	m.BuildImage(ctx)
	clock("image")

	m.Tailscale(ctx, rig.Identity{})
	clock("tailscale")
	// Leger asks like this, as the user: over the socket, not through the CLI.
	var status rig.TailscaleStatus
	answer := m.Must(ctx, rig.Opts{}, "leger-e2e", "get", "-socket", rig.TailscaleSocket,
		"http://local-tailscaled.sock/localapi/v0/status?peers=false")
	if err := json.Unmarshal([]byte(answer), &status); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if status.BackendState != "Running" || status.Self.UserID != 123456789 ||
		status.MagicDNSSuffix != "example.ts.net" || status.User["123456789"].LoginName != "alice@github" {
		t.Errorf("tailscaled says %+v", status)
	}

	const value = "canary: two words\nand a line"
	m.Must(ctx, rig.Opts{Stdin: strings.NewReader(value)}, "podman", "secret", "create", "api_key", "-")
	m.WriteTree(ctx, "/tmp/app", map[string]string{"web.container": `[Unit]
Description=Shows its secret

[Container]
Image=` + rig.Image + `
Pull=never
Secret=api_key,type=env,target=API_KEY
Secret=api_key
PublishPort=127.0.0.1:8080:8080
HealthCmd=["/leger-e2e", "get"]
HealthInterval=1s

[Install]
WantedBy=default.target
`})
	m.Must(ctx, rig.Opts{}, "podman", "quadlet", "install", "/tmp/app")
	m.Must(ctx, rig.Opts{}, "systemctl", "--user", "daemon-reload")
	clock("quadlet")
	m.Must(ctx, rig.Opts{}, "systemctl", "--user", "start", "web.service")
	clock("start")
	hasSecret := func(when string) {
		t.Helper()
		rig.Eventually(t, 30*time.Second, "the container is healthy "+when, func(ctx context.Context) error {
			if result := m.Run(ctx, rig.Opts{}, "podman", "healthcheck", "run", "systemd-web"); result.Code != 0 {
				return errors.New(result.String())
			}
			return nil
		})
		for _, path := range []string{"env/API_KEY", "file/run/secrets/api_key"} {
			if got := get(t, m, "http://127.0.0.1:8080/"+path); got != value {
				t.Errorf("%s: %s is %q, want %q", when, path, got, value)
			}
		}
	}
	hasSecret("after the start")
	clock("healthy")

	m.Reboot(ctx)
	clock("reboot")
	hasSecret("after the reboot")
	clock("healthy again")

	m.Stop(ctx)
	clock("power off")
	if result := m.Run(ctx, rig.Opts{}, "true"); result.Code == 0 {
		t.Error("the machine answers after it was stopped")
	}
	if journal := m.Journal(ctx, "--lines=5"); !strings.Contains(journal, "Journal stopped") {
		t.Errorf("the journal does not end with the power off:\n%s", journal)
	}
}

// TestRun shows what comes back from a command.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := rig.Boot(t)

	t.Run("streams and code", func(t *testing.T) {
		var both strings.Builder
		opts := rig.Opts{Stdin: strings.NewReader("in"), Env: []string{"WORD=a b"}, Dir: "/tmp", Output: &both}
		got := m.Run(ctx, opts, "sh", "-c", `cat; printf ' %s %s' "$WORD" "$PWD"; printf oops >&2; exit 7`)
		want := rig.Result{Stdout: "in a b /tmp", Stderr: "oops", Code: 7}
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		if len(both.String()) != len(want.Stdout+want.Stderr) {
			t.Errorf("the extra writer got %q", both.String())
		}
	})
	t.Run("signal", func(t *testing.T) {
		if got := m.Run(ctx, rig.Opts{}, "sh", "-c", "kill -KILL $$"); got.Code != 137 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("who", func(t *testing.T) {
		for as, want := range map[string]string{"": rig.User, "root": "root", rig.OtherUser: rig.OtherUser} {
			if got := m.For(t).Must(ctx, rig.Opts{As: as}, "id", "-un"); got != want {
				t.Errorf("as %q it is %q", as, got)
			}
		}
	})
	t.Run("deadline", func(t *testing.T) {
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		// What the command leaves running has the lock open, too.
		if got := m.Run(short, rig.Opts{}, "flock", "/tmp/lock", "sh", "-c", "sleep 4242 & wait"); got.Code != -1 {
			t.Errorf("got %v", got)
		}
		m.For(t).Must(ctx, rig.Opts{}, "flock", "--timeout=5", "/tmp/lock", "true")
	})
	t.Run("files", func(t *testing.T) {
		m.For(t).WriteTree(ctx, "/tmp/tree", map[string]string{"a/b": "x\n", "c.sh": "#!/bin/sh\necho ran\n"})
		if got := m.For(t).ReadFile(ctx, "/tmp/tree/a/b"); got != "x\n" {
			t.Errorf("read %q", got)
		}
		if got := m.For(t).Must(ctx, rig.Opts{}, "/tmp/tree/c.sh"); got != "ran" {
			t.Errorf("ran: %q", got)
		}
	})
	t.Run("units", func(t *testing.T) {
		ctx := t.Context()
		for _, byUser := range []bool{false, true} {
			unit := m.For(t).StartUnit(ctx, rig.Unit{
				Name: "greeter", ByUser: byUser, Ready: "ready ", Env: []string{"NAME=you"},
				Command: []string{"sh", "-c", `echo "ready $NAME"; exec sleep infinity`},
			})
			if unit.ReadyLine != "you" || unit.State(ctx) != "active" {
				t.Errorf("user %v: ready %q, state %s", byUser, unit.ReadyLine, unit.State(ctx))
			}
			unit.Restart(ctx)
			if got := strings.Count(unit.Journal(ctx), "ready"); got != 1 {
				t.Errorf("user %v: the journal of the second run has %d lines of it", byUser, got)
			}
			unit.Kill(ctx, "KILL")
			rig.Eventually(t, 5*time.Second, "the unit has failed", func(ctx context.Context) error {
				if state := unit.State(ctx); state != "failed" {
					return fmt.Errorf("it is %s", state)
				}
				return nil
			})
		}
	})
}

// TestTailscaleStates puts the node into every state that Leger tells apart.
func TestTailscaleStates(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := stopwatch(t)
	m := rig.Boot(t)
	node := m.Tailscale(ctx, rig.Identity{LoginName: "bob@example.com", UserID: 42, Tailnet: "bobs", MagicDNSSuffix: "bobs.ts.net"})
	clock("up")
	expect := func(state, login string, userID int64) {
		t.Helper()
		status, err := node.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		owner := status.User[fmt.Sprint(status.Self.UserID)].LoginName
		if status.BackendState != state || owner != login || status.Self.UserID != userID {
			t.Errorf("%s, %s, %d; want %s, %s, %d", status.BackendState, owner, status.Self.UserID, state, login, userID)
		}
	}
	expect("Running", "bob@example.com", 42)
	node.SetKeyExpired(ctx, true)
	expect("NeedsLogin", "bob@example.com", 42)
	node.SetKeyExpired(ctx, false)
	clock("expired and renewed")
	node.SetUnapproved(ctx, true)
	node.SetUnapproved(ctx, false)
	clock("unapproved and approved")
	node.SetTags(ctx, "tag:server")
	expect("Running", "tagged-devices", 2147455555)
	node.SetTags(ctx)
	node.SetOwner(ctx, rig.Identity{LoginName: "carol@github", UserID: 43})
	expect("Running", "carol@github", 43)
	clock("tags and owner")
	node.Down(ctx)
	expect("Stopped", "carol@github", 43)
	node.Up(ctx)
	clock("down and up")
	node.Daemon.Restart(ctx)
	rig.Eventually(t, 20*time.Second, "the node is back after a restart", func(ctx context.Context) error {
		status, err := node.Status(ctx)
		if err == nil && status.BackendState != "Running" {
			err = fmt.Errorf("it is %s", status.BackendState)
		}
		return err
	})
	clock("restart")
	node.Logout(ctx)
	node.Up(ctx)
	clock("logout and up")
}

// TestTailscaleLogin goes through the login that a person completes.
func TestTailscaleLogin(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := rig.Boot(t)
	node := m.Tailscale(ctx, rig.Identity{RequireLogin: true})
	url := node.BeginLogin(ctx)
	if status, err := node.Status(ctx); err != nil || status.BackendState != "NeedsLogin" {
		t.Errorf("half logged in: %+v, %v", status, err)
	}
	node.CompleteLogin(ctx, url)
}

// TestGitServer clones with and without a password.
func TestGitServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := rig.Boot(t)
	server := m.GitServer(ctx, "/private=alice:open sesame")
	first := server.Commit(ctx, "app", "main", map[string]string{"one": "1", "old": "x"})
	server.Tag(ctx, "app", "v1", first)
	second := server.Commit(ctx, "app", "main", map[string]string{"one": "2", "sub/two": "2"})
	server.Commit(ctx, "app", "other", map[string]string{"three": "3"})
	server.Commit(ctx, "private/app", "main", map[string]string{"secret": "s"})

	clone := func(args ...string) rig.Result {
		return m.Run(ctx, rig.Opts{Env: []string{"GIT_TERMINAL_PROMPT=0"}}, "git", append([]string{"clone", "--quiet", "--depth=1"}, args...)...)
	}
	for branch, want := range map[string]string{"main": "one sub", "v1": "old one", "other": "three"} {
		if result := clone("--branch", branch, server.URL+"/app.git", "/tmp/"+branch); result.Code != 0 {
			t.Fatalf("clone %s: %s", branch, result)
		}
		if got := m.Must(ctx, rig.Opts{Dir: "/tmp/" + branch}, "ls"); strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%s has %q", branch, got)
		}
	}
	if got := m.Must(ctx, rig.Opts{Dir: "/tmp/main"}, "git", "rev-parse", "HEAD"); got != second {
		t.Errorf("main is at %s, want %s", got, second)
	}
	if result := clone(server.URL+"/private/app.git", "/tmp/refused"); result.Code == 0 {
		t.Error("the private repository needs no password")
	}
	with := strings.Replace(server.URL, "http://", "http://alice:open%20sesame@", 1)
	if result := clone(with+"/private/app.git", "/tmp/private"); result.Code != 0 {
		t.Errorf("clone with password: %s", result)
	}
}

// TestShutdownEndsCommands has a command under way when the machine restarts and
// when it stops: both have to end it, and nobody may wait for it for ever.
func TestShutdownEndsCommands(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := rig.Boot(t)
	during := func(shutDown func(context.Context)) {
		t.Helper()
		started, ended := make(chan struct{}), make(chan rig.Result, 1)
		go func() {
			ended <- m.Run(ctx, rig.Opts{Output: &signaller{first: started}}, "sh", "-c", "echo begun; exec sleep 1000")
		}()
		<-started
		shutDown(ctx)
		if result := <-ended; result.Code <= 0 {
			t.Errorf("the command ended with %v", result)
		}
	}
	during(m.Reboot)
	during(m.Stop)
}

// signaller closes a channel at the first write.
type signaller struct {
	once  sync.Once
	first chan struct{}
}

func (s *signaller) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.first) })
	return len(p), nil
}

// TestNoTrace looks for what a killed machine leaves behind.
func TestNoTrace(t *testing.T) {
	t.Parallel()
	m := rig.Boot(t)
	cgroup, err := os.ReadFile(filepath.Join(m.StateDir(), "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	m.Kill(t.Context())
	m.Kill(t.Context())
	if _, err := os.Stat(strings.TrimSpace(string(cgroup))); !os.IsNotExist(err) {
		t.Errorf("cgroup: %v", err)
	}
	if _, err := os.Stat(filepath.Join("/proc", fmt.Sprint(m.PID()), "root", "opt", "rig")); !os.IsNotExist(err) {
		t.Errorf("process: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), m.StateDir()) {
		t.Errorf("mounts:\n%s", mounts)
	}
}

// TestLifeline kills a test process and sees its machine go.
func TestLifeline(t *testing.T) {
	t.Parallel()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLifelineChild$", "-test.v")
	child.Env = append(os.Environ(), "LEGER_E2E_CHILD=1")
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	state := ""
	for lines := bufio.NewScanner(output); state == "" && lines.Scan(); {
		_, state, _ = strings.Cut(lines.Text(), "booted in ")
	}
	cgroup, err := os.ReadFile(filepath.Join(state, "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	rig.Eventually(t, 20*time.Second, "the machine is gone", func(context.Context) error {
		_, err := os.Stat(strings.TrimSpace(string(cgroup)))
		if os.IsNotExist(err) {
			return nil
		}
		return errors.New("its cgroup is there")
	})
	rig.Eventually(t, 20*time.Second, "the scripts' files are gone", func(context.Context) error {
		if _, err := os.Stat(filepath.Join(state, "cgroup")); !os.IsNotExist(err) {
			return fmt.Errorf("there is %s", state)
		}
		return os.RemoveAll(state)
	})
}

// TestLifelineChild boots a machine and waits to be killed, when TestLifeline
// runs it in a process of its own.
func TestLifelineChild(t *testing.T) {
	if os.Getenv("LEGER_E2E_CHILD") == "" {
		return
	}
	m := rig.Boot(t)
	fmt.Println("booted in " + m.StateDir())
	<-t.Context().Done()
}

// get fetches a URL of the machine's from the test's own process.
func get(t *testing.T, m *rig.Machine, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := m.HTTPClient().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, response.Status, body)
	}
	return string(body)
}

// stopwatch returns a function that logs the time since it was last called.
func stopwatch(t *testing.T) func(what string) {
	last := time.Now()
	return func(what string) {
		t.Logf("%-24s %s", what, time.Since(last).Round(time.Millisecond))
		last = time.Now()
	}
}
