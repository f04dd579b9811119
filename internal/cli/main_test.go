package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/cli"
)

// legerCodes reads all codes from the source that declares them, so that a new
// one cannot be forgotten here.
func legerCodes(t *testing.T) []leger.Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "error.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []leger.Code
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, leger.Code(text))
		}
		return true
	})
	return codes
}

func TestEveryCodeHasItsExitCode(t *testing.T) {
	t.Parallel()
	want := map[leger.Code]int{
		leger.CodeInvalid: 2, leger.CodeTooLarge: 2, leger.CodeNotFound: 3, leger.CodeInvalidToken: 4, leger.CodeForbidden: 4,
		leger.CodeConflict: 5, leger.CodePartial: 5, leger.CodeMissingPart: 6, leger.CodeUnhealthy: 7,
		leger.CodeUnreachable: 8, leger.CodeUnavailable: 6, leger.CodeInterrupted: 130, leger.CodeDeclined: 1, leger.CodeDisk: 1,
		leger.CodeMethodNotAllowed: 1, leger.CodeUnsupportedMedia: 1, leger.CodeRateLimited: 1, leger.CodeInternal: 1,
	}
	codes := legerCodes(t)
	if len(codes) != len(want) {
		t.Errorf("there are %d codes, this test knows %d", len(codes), len(want))
	}
	for _, c := range codes {
		if got := cli.ExitCode(leger.Errorf(c, "it failed")); got != want[c] {
			t.Errorf("%s ends with %d, want %d", c, got, want[c])
		}
	}
	if cli.ExitCode(nil) != 0 || cli.ExitCode(leger.Errorf("from_a_newer_server", "it failed")) != 1 {
		t.Error("no error is 0, an unknown code is 1")
	}
	// "Unavailable" is the server's word too: only then is it the server that is away.
	// A systemd that took too long used to end with "server unreachable".
	away := &leger.Error{Code: leger.CodeUnavailable, FromServer: true}
	for _, err := range []error{away, leger.Wrap(leger.CodeUnavailable, away, "report"), errors.Join(away, io.EOF)} {
		if got := cli.ExitCode(err); got != 8 {
			t.Errorf("%v ends with %d, want 8", err, got)
		}
	}
}

// said is what one run of leger printed.
type said struct {
	code           int
	stdout, stderr string
}

// runIn runs leger in this process, on a rig.
func (r *rig) runIn(ctx context.Context, home string, stdin io.Reader, args ...string) said {
	r.t.Helper()
	env := r.env(home)
	var stdout, stderr bytes.Buffer
	code := cli.Main(ctx, cli.Env{
		Args: args, Stdin: stdin, Stdout: &stdout, Stderr: &stderr, Now: time.Now, Random: rand.Reader, Version: "0.0.0-test",
		LookupEnv:    func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		SystemConfig: filepath.Join(home, "etc", "config.toml"),
	})
	return said{code, stdout.String(), stderr.String()}
}

func (r *rig) must(home, stdin string, args ...string) said {
	r.t.Helper()
	s := r.runIn(context.Background(), home, strings.NewReader(stdin), args...)
	if s.code != 0 {
		r.t.Fatalf("leger %q ended with %d: %s", args, s.code, s.stderr)
	}
	return s
}

// With nothing to do, a sync is one request to the server and two to legerd.
func TestASyncWithNothingToDoIsThreeRequests(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.startLegerd()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, "v", "secrets", "set", "key")
	r.must(home, "", "secrets", "sync")
	server, legerd := r.requests.Load(), r.calls.Load()
	r.must(home, "", "secrets", "sync")
	if n := r.requests.Load() - server; n != 1 {
		t.Errorf("%d requests to the server, want 1", n)
	}
	if n := r.calls.Load() - legerd; n != 2 {
		t.Errorf("%d requests to legerd, want 2", n)
	}
}

// legerd does not run, systemd has its unit: the sync starts it and goes on.
func TestASyncStartsLegerd(t *testing.T) {
	t.Parallel()
	r, home, bin := newRig(t), t.TempDir(), t.TempDir()
	started := filepath.Join(home, "started")
	script := "#!/bin/sh\nprintf '%s\\n' \"$*\" >> \"$HOME/started\"\n"
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r.path = bin
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, "v", "secrets", "set", "key")
	done := make(chan said, 1)
	go func() { done <- r.runIn(t.Context(), home, strings.NewReader(""), "secrets", "sync") }()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for asked := false; !asked; {
		select {
		case <-deadline:
			t.Fatal("systemctl was not asked")
		case <-tick.C:
			b, err := os.ReadFile(started)
			asked = err == nil && strings.Contains(string(b), "--user start legerd.socket")
		}
	}
	r.startLegerd()
	if s := <-done; s.code != 0 {
		t.Fatalf("code %d: %s", s.code, s.stderr)
	}
	if got, _ := r.podman.Secret("key"); string(got.Value) != "v" {
		t.Error("Podman does not have the secret")
	}
}

// Ctrl-C after each of legerd's answers: the command ends with 130, says what was
// done, every secret is at its old or its new value, and the next sync finishes.
func TestCtrlCInTheMiddleOfASync(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d"}
	r, home := newRig(t), t.TempDir()
	r.startLegerd()
	r.must(home, "", "auth", "login", "--no-browser")
	for round := 1; ; round++ {
		for _, n := range names {
			r.must(home, fmt.Sprintf("%s-%d", n, round), "secrets", "set", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stopAt := r.calls.Load() + int64(round)
		r.onCall.Store(func(call int64) {
			if call == stopAt {
				cancel()
			}
		})
		s := r.runIn(ctx, home, strings.NewReader(""), "secrets", "sync")
		cancelled := ctx.Err() != nil
		cancel()
		r.onCall.Store(func(int64) {})
		if !cancelled {
			break // the sync was over before: every point has been tried
		}
		if s.code != 130 && s.code != 0 {
			t.Fatalf("round %d: code %d: %s", round, s.code, s.stderr)
		}
		if s.code == 130 && !strings.Contains(s.stderr, "interrupted") {
			t.Errorf("round %d: %s", round, s.stderr)
		}
		for _, n := range names {
			got, there := r.podman.Secret(n)
			old, now := fmt.Sprintf("%s-%d", n, round-1), fmt.Sprintf("%s-%d", n, round)
			if there && string(got.Value) != old && string(got.Value) != now {
				t.Errorf("round %d: Podman's %s is %q", round, n, got.Value)
			}
			if !there && round > 1 {
				t.Errorf("round %d: Podman's %s is gone", round, n)
			}
		}
		r.must(home, "", "secrets", "sync")
		for _, n := range names {
			if got, _ := r.podman.Secret(n); string(got.Value) != fmt.Sprintf("%s-%d", n, round) {
				t.Errorf("round %d: after the next sync Podman's %s is %q", round, n, got.Value)
			}
		}
		if round > 50 {
			t.Fatal("a sync of 4 secrets takes more than 50 calls")
		}
	}
}

// The help of every command says what it does and shows an example or its flags.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	paths := [][]string{{}}
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		s := r.must(home, "", append(slices.Clone(path), "--help")...)
		if s.stderr != "" || !strings.Contains(s.stdout, "Usage:") {
			t.Errorf("leger %q --help: %s%s", path, s.stdout, s.stderr)
		}
		for _, name := range subcommands(s.stdout) {
			paths = append(paths, append(slices.Clone(path), name))
		}
	}
}

func subcommands(help string) (names []string) {
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) == 0 {
			break
		}
		if f[0] != "help" {
			names = append(names, f[0])
		}
	}
	return names
}

// A variable, its _FILE twin and the systemd credential, in that order.
func TestWhereSettingsComeFrom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := map[string]string{"HOME": dir}
	server := func() string {
		var out, errs bytes.Buffer
		if code := cli.Main(t.Context(), cli.Env{
			Args: []string{"config", "get", "server"}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now,
			LookupEnv:    func(n string) (string, bool) { v, ok := env[n]; return v, ok },
			SystemConfig: filepath.Join(dir, "none"),
		}); code != 0 {
			t.Fatal(errs.String())
		}
		return strings.TrimSpace(out.String())
	}
	env["CREDENTIALS_DIRECTORY"] = dir
	write("LEGER_SERVER", "https://credential.example\n")
	if got := server(); got != "https://credential.example" {
		t.Errorf("server = %s", got)
	}
	env["LEGER_SERVER_FILE"] = write("file", "https://file.example\n")
	if got := server(); got != "https://file.example" {
		t.Errorf("server = %s", got)
	}
	env["LEGER_SERVER"] = "https://variable.example"
	if got := server(); got != "https://variable.example" {
		t.Errorf("server = %s", got)
	}
}
