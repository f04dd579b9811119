package cli_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/cli"
	"leger.run/leger/internal/client"
)

// newcomer runs leger on a machine that has no shared secret. Whenever it waits, what
// it has said so far goes to meanwhile.
func (r *rig) newcomer(home string, meanwhile func(stderr string), args ...string) said {
	r.t.Helper()
	env := r.env(home)
	if err := os.Remove(env["LEGER_SHARED_SECRET_FILE"]); err != nil {
		r.t.Fatal(err)
	}
	delete(env, "LEGER_SHARED_SECRET_FILE")
	var stdout, stderr bytes.Buffer
	now := time.Now()
	code := cli.Main(r.t.Context(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Random: rand.Reader, Version: "0.0.0-test",
		Now:          func() time.Time { return now },
		LookupEnv:    func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		SystemConfig: filepath.Join(home, "none"), MachineID: filepath.Join(home, "none"),
		Hostname: func() (string, error) { return "newcomer", nil },
		After: func(d time.Duration) <-chan time.Time {
			now = now.Add(d)
			meanwhile(stderr.String())
			c := make(chan time.Time, 1)
			c <- now
			return c
		},
	})
	return said{code, stdout.String(), stderr.String()}
}

var shownCode = regexp.MustCompile(`code  ([A-Z]{4}-[A-Z]{4})  within`)

// A machine without the shared secret shows a code; one that is signed in approves it.
func TestAMachineIsEnrolledByCode(t *testing.T) {
	t.Parallel()
	r, owner, home := newRig(t), t.TempDir(), t.TempDir()
	r.must(owner, "", "auth", "login", "--no-browser")
	r.must(owner, canary, "secrets", "set", "key")
	waits := 0
	got := r.newcomer(home, func(stderr string) {
		if waits++; waits == 1 { // it asks once for nothing
			return
		}
		code := shownCode.FindStringSubmatch(stderr)
		if code == nil {
			t.Fatalf("there is no code in %s", stderr)
		}
		s := r.must(owner, "", "machines", "approve", strings.ToLower(code[1]), "--name", "nas", "--yes")
		if !strings.Contains(s.stdout, "nas") || !strings.Contains(s.stderr, "newcomer") {
			t.Errorf("approved: %s%s", s.stderr, s.stdout)
		}
		key := regexp.MustCompile(`SHA256:\S+`).FindString(stderr)
		if key == "" || !strings.Contains(s.stderr, key) {
			t.Errorf("the machine shows %q, who approves sees %s", key, s.stderr)
		}
	}, "auth", "login", "--no-browser")
	if got.code != 0 || !strings.Contains(got.stderr, "/machines/connect") || !strings.Contains(got.stderr, "as alice@github until this machine is revoked") {
		t.Fatalf("%d: %s", got.code, got.stderr)
	}
	never := func(string) { t.Error("it waits") }
	if got := r.newcomer(home, never, "secrets", "get", "key"); got.code != 0 || strings.TrimSpace(got.stdout) != canary {
		t.Errorf("%d: %s", got.code, got.stderr)
	}
	// Again it is a link for the browser, and no code.
	if got := r.newcomer(home, never, "auth", "login", "--no-browser"); got.code != 0 || !strings.Contains(got.stdout, "/auth?token=") {
		t.Errorf("%d: %s%s", got.code, got.stdout, got.stderr)
	}
}

func TestACodeThatIsDeniedOrEndsEnrolsNothing(t *testing.T) {
	t.Parallel()
	r, owner := newRig(t), t.TempDir()
	r.must(owner, "", "auth", "login", "--no-browser")
	c, err := client.New(client.Config{Server: r.api.URL, Token: strings.TrimSpace(r.must(owner, "", "auth", "token").stdout)})
	if err != nil {
		t.Fatal(err)
	}
	for name, meanwhile := range map[string]func(stderr string){
		"denied": func(stderr string) {
			text := shownCode.FindStringSubmatch(stderr)[1]
			s := r.runIn(t.Context(), owner, strings.NewReader(""), "machines", "approve", text)
			if s.code != 2 || !strings.Contains(s.stderr, "--yes") { // nobody can be asked here
				t.Errorf("approve without an answer: %d %s", s.code, s.stderr)
			}
			code, err := leger.ParseEnrolmentCode(text)
			if err := errors.Join(err, c.DenyEnrolment(t.Context(), code)); err != nil {
				t.Error(err)
			}
		},
		"the server stays away": func(string) { r.down.Store(true) },
	} {
		home := t.TempDir()
		got := r.newcomer(home, meanwhile, "auth", "login", "--no-browser")
		r.down.Store(false)
		if got.code != 4 || !strings.Contains(got.stderr, "the code was denied, or its time is over") || !strings.Contains(got.stderr, "hint: leger auth login") {
			t.Errorf("%s: %d: %s", name, got.code, got.stderr)
		}
		if _, err := os.Stat(filepath.Join(home, ".local", "share", "leger", "auth.json")); err == nil {
			t.Errorf("%s: there is a sign-in", name)
		}
	}
}

// A server that asks Tailscale enrols a machine without a question, whatever else there
// is to sign in with; where Tailscale knows nobody, the shared secret or a code does.
func TestAMachineOfTheTailnetIsEnrolledSilently(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.onTailnet.Store(true)
	r.backUp() // it starts again
	alice := leger.Peer{
		Identity: leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(123456789), Email: "alice@github", Tailnet: "example.ts.net", DeviceID: "nABC"},
		Node:     "nABC", Name: "laptop",
	}
	r.peer.Store(&alice)
	home := t.TempDir()
	never := func(stderr string) { t.Errorf("it waits: %s", stderr) }
	got := r.newcomer(home, never, "auth", "login", "--no-browser")
	if got.code != 0 || !strings.Contains(got.stderr, "as alice@github until this machine is revoked") || !strings.Contains(got.stdout, "/auth?token=") {
		t.Fatalf("%d: %s%s", got.code, got.stderr, got.stdout)
	}
	if got := r.newcomer(home, never, "auth", "status"); got.code != 0 || !strings.Contains(got.stdout, "machine") {
		t.Errorf("%d: %s%s", got.code, got.stderr, got.stdout)
	}
	if got := r.newcomer(home, never, "machines", "show", "newcomer"); !strings.Contains(got.stdout, "tailnet") {
		t.Errorf("how it was enrolled is not told: %s", got.stdout)
	}

	// A tagged device that the policy grants an owner signs no browser in.
	r.peer.Store(&leger.Peer{Node: "nWeb", Name: "web", Tags: []string{"tag:web"}, Machine: &leger.MachineGrant{Owner: "alice@github", Role: leger.RoleDeliver}})
	got = r.newcomer(t.TempDir(), never, "auth", "login", "--no-browser")
	if got.code != 0 || strings.Contains(got.stdout, "token=") {
		t.Errorf("%d: %s%s", got.code, got.stderr, got.stdout)
	}

	// Nobody to Tailscale: the secret, if there is one; else a code.
	r.peer.Store(nil)
	if s := r.must(t.TempDir(), "", "auth", "login", "--no-browser"); !strings.Contains(s.stdout, "/auth?token=") || strings.Contains(s.stderr, "enter the code") {
		t.Errorf("with the secret: %s%s", s.stderr, s.stdout)
	}
	waits := 0
	got = r.newcomer(t.TempDir(), func(stderr string) {
		if waits++; shownCode.FindString(stderr) == "" {
			t.Errorf("no code: %s", stderr)
		}
		r.down.Store(true)
	}, "auth", "login", "--no-browser")
	r.down.Store(false)
	if got.code != 4 || waits == 0 {
		t.Errorf("%d after %d waits: %s", got.code, waits, got.stderr)
	}
}
