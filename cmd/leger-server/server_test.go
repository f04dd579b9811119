package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/token"
)

// binary is the real program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "leger-server-test")
	if err != nil {
		panic(err)
	}
	// One test runs it as another user.
	if err := os.Chmod(dir, 0o755); err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "leger-server")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is one running leger-server.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	data string
	log  string // the file that standard error goes to

	ended <-chan struct{}
}

// command prepares the program with nothing of the tester's environment.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// start runs the server on a port of its own choice until the test ends.
func start(t *testing.T, data string, env []string, more ...string) *server {
	t.Helper()
	return startWith(t, data, env, append([]string{"--listen", "127.0.0.1:0", "--rate-limit", "0"}, more...)...)
}

// startWith runs the server where its settings say.
func startWith(t *testing.T, data string, env []string, more ...string) *server {
	t.Helper()
	s := &server{t: t, data: data}
	args := append([]string{"--data", data}, more...)
	s.cmd = command(t, env, args...)
	s.log = filepath.Join(t.TempDir(), "log")
	file, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	s.cmd.Stderr = file
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.cmd.Wait()
	}()
	s.ended = ended
	t.Cleanup(func() { s.kill() })
	s.url = "http://" + s.address()
	return s
}

// address waits for the log to tell where the server listens.
func (s *server) address() string {
	s.t.Helper()
	for ended := false; ; {
		for line := range strings.Lines(s.output()) {
			var entry struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
				return entry.Address
			}
		}
		if ended {
			s.t.Fatalf("the server did not start:\n%s", s.output())
		}
		select {
		case <-s.ended:
			ended = true
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// output is the log so far. The server writes it itself: what it logged before an
// answer is there once the answer is.
func (s *server) output() string {
	s.t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// token is alice's, made with the server's own shared secret.
func (s *server) token() string {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.data, "jwt.secret"))
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := token.ParseSecret(bytes.TrimSpace(raw))
	if err != nil {
		s.t.Fatal(err)
	}
	claims, err := token.New(time.Now(), rand.Reader, leger.LocalIdentity("alice@example.com"), token.IssuerCLI, s.url, false, "test")
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := token.Sign(secret, claims)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// client signs alice in.
func (s *server) client() *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{Server: s.url, Token: s.token()})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := c.Validate(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// fails runs the program to its end and checks the exit code and that the text
// says each of wants.
func fails(t *testing.T, code int, env, args []string, wants ...string) {
	t.Helper()
	out, err := command(t, env, args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("leger-server %s: exit %v, want %d\n%s", strings.Join(args, " "), err, code, out)
	}
	if strings.Contains(string(out), "canary") {
		t.Errorf("leger-server %s shows a password:\n%s", strings.Join(args, " "), out)
	}
	for _, want := range wants {
		if !strings.Contains(string(out), want) {
			t.Errorf("leger-server %s: no %q in\n%s", strings.Join(args, " "), want, out)
		}
	}
}

func name(t *testing.T, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The first start makes both keys, readable by their owner alone, and says where
// they are; the second start uses them.
func TestFirstStartMakesKeys(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, nil)
	for _, file := range []string{"encryption.key", "jwt.secret"} {
		info, err := os.Stat(filepath.Join(data, file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
		if !strings.Contains(s.output(), file) {
			t.Errorf("the log does not name %s:\n%s", file, s.output())
		}
	}
	if _, err := s.client().SetSecret(t.Context(), name(t, "k"), leger.NewPlaintext([]byte("v")), 0); err != nil {
		t.Fatal(err)
	}
	s.kill()
	s = start(t, data, nil)
	got, err := s.client().Secret(t.Context(), name(t, "k"))
	if err != nil || *got.Value != "v" {
		t.Fatalf("after a second start: %v", err)
	}
	if strings.Contains(s.output(), "made a key") {
		t.Error("the second start made keys again")
	}
}

// Who may change the data directory, or what decides in it, has the server's word; who
// may read a key has the secrets. All of it was accepted without a word.
func TestFilesOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	start(t, data, nil).kill()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--data", data, "--listen", "127.0.0.1:0"}
	for _, c := range []struct {
		path string
		mode os.FileMode
		env  []string
		says []string
	}{
		{data, 0o777, nil, []string{data + " can be changed by other users of this machine: its mode is 0777", "chmod go-w " + data}},
		{data, 0o773, nil, []string{"can be changed by other users"}},
		{filepath.Join(data, "leger.db"), 0o666, nil, []string{"leger.db can be changed by other users", "chmod go-w "}},
		{filepath.Join(data, "encryption.key"), 0o644, nil, []string{"encryption.key can be read by other users", "chmod 600 "}},
		{filepath.Join(data, "jwt.secret"), 0o604, nil, []string{"jwt.secret can be read by other users"}},
		{secret, 0o644, []string{"JWT_SECRET_FILE=" + secret}, []string{secret + " can be read by other users"}},
		{secret, 0o644, []string{"ENCRYPTION_KEY_FILE=" + secret}, []string{secret + " can be read by other users"}},
		{secret, 0o644, []string{"ENCRYPTION_KEY_PREVIOUS_FILE=" + secret}, []string{secret + " can be read by other users"}},
		{secret, 0o602, []string{"LEGER_PUBLIC_URL_FILE=" + secret}, []string{secret + " can be changed by other users"}},
	} {
		info, err := os.Stat(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(c.path, c.mode); err != nil {
			t.Fatal(err)
		}
		fails(t, 2, c.env, args, c.says...)
		if err := os.Chmod(c.path, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{{"backup", "-"}, {"recovery-sheet"}, {"rekey"}, {"login-link", "--email", "alice@example.com"}} {
		if err := os.Chmod(data, 0o777); err != nil {
			t.Fatal(err)
		}
		fails(t, 2, nil, append(command, "--data", data), "can be changed by other users")
	}
	// Others may look into the directory: what is secret in it says so itself.
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, data, nil).kill()
}

// A database without its key, or with another, is not served: new secrets would
// go under a key that opens only some of them.
func TestWrongKeysAreRefused(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, nil)
	if _, err := s.client().SetSecret(t.Context(), name(t, "k"), leger.NewPlaintext([]byte("v")), 0); err != nil {
		t.Fatal(err)
	}
	s.kill()
	args := []string{"--data", data, "--listen", "127.0.0.1:0"}
	key := filepath.Join(data, "encryption.key")

	const other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	fails(t, 2, []string{"ENCRYPTION_KEY=" + other}, args, "sealed with the key", "hint: ", "ENCRYPTION_KEY_PREVIOUS")
	fails(t, 2, []string{"ENCRYPTION_KEY=short"}, args, "ENCRYPTION_KEY is not the base64 of 32 bytes", "openssl rand -base64 32")
	fails(t, 2, []string{"JWT_SECRET=short"}, args, "the shared secret has 5 bytes")
	fails(t, 2, []string{"ENCRYPTION_KEY_FILE=/nonexistent"}, args, "ENCRYPTION_KEY_FILE")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, 2, nil, args, "can be read by other users", "chmod 600 "+key)
	if err := os.Rename(key, key+".lost"); err != nil {
		t.Fatal(err)
	}
	fails(t, 2, nil, args, "holds a database but not its key", "put the key file back")
	if _, err := os.Stat(key); !errors.Is(err, os.ErrNotExist) {
		t.Error("a refused start made a key")
	}

	// The new key in front, the old one behind it: both work.
	old, err := os.ReadFile(key + ".lost")
	if err != nil {
		t.Fatal(err)
	}
	s = start(t, data, []string{"ENCRYPTION_KEY=" + other, "ENCRYPTION_KEY_PREVIOUS=" + strings.TrimSpace(string(old))})
	if got, err := s.client().Secret(t.Context(), name(t, "k")); err != nil || *got.Value != "v" {
		t.Errorf("the former key does not open: %v", err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	fails(t, 2, nil, []string{"frobnicate"}, `no command "frobnicate"`, "hint: leger-server --help")
	fails(t, 2, nil, []string{"--frobnicate"}, "frobnicate", "hint: leger-server --help")
	fails(t, 2, nil, []string{"--listen", "nowhere"}, "not HOST:PORT")
	fails(t, 2, []string{"LEGER_AUTH=none"}, nil, "LEGER_AUTH")
	fails(t, 2, []string{"LEGER_PUBLIC_URL=https://u:canary-pw@host"}, []string{"--data", t.TempDir(), "--listen", "127.0.0.1:0"}, "public URL holds")
	fails(t, 2, []string{"LEGER_PUBLIC_URL=ftp://x"}, []string{"--data", t.TempDir(), "--listen", "127.0.0.1:0"}, "public URL")
	out, err := command(t, nil, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"--listen", "--data", "--public-url", "--rate-limit", "--new-database", "LEGER_LISTEN", "LEGER_DATA", "LEGER_PUBLIC_URL",
		"LEGER_RATE_LIMIT", "LEGER_AUTH", "JWT_SECRET", "ENCRYPTION_KEY", "ENCRYPTION_KEY_PREVIOUS", "_FILE", "login-link",
	} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("--help does not mention %s", want)
		}
	}
}

// A second server on the same data would be a second writer.
func TestSecondServerIsRefused(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	start(t, data, nil)
	fails(t, 1, nil, []string{"--data", data, "--listen", "127.0.0.1:0"}, "hint: ")
}

// The link of login-link signs a browser in, once.
func TestLoginLink(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	fails(t, 1, nil, []string{"login-link", "--data", data, "--email", "a@b"}, "no shared secret", "start leger-server once")
	s := start(t, data, nil)
	fails(t, 2, nil, []string{"login-link", "--data", data}, "--email")
	fails(t, 2, nil, []string{"login-link", "--data", data, "--email", "a@b", "--tailscale-user-id", "7", "--tailnet", "x"}, "u123456789")
	fails(t, 2, nil, []string{"login-link", "--data", data, "--email", "a@b", "--tailscale-user-id", "u7"}, "tailnet")

	out, err := command(t, nil, "login-link", "--data", data, "--public-url", s.url,
		"--email", "alice@github", "--tailscale-user-id", "u123456789", "--tailnet", "example.ts.net").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, link, found := strings.Cut(strings.TrimSpace(string(out)), s.url+"/auth?token=")
	if !found {
		t.Fatalf("not a link: %s", out)
	}
	if status := s.validate(link); status != http.StatusOK {
		t.Errorf("first use: %d", status)
	}
	if status := s.validate(link); status != http.StatusUnauthorized {
		t.Errorf("second use: %d", status)
	}
	if strings.Contains(s.output(), link) {
		t.Error("the log holds the link's token")
	}
}

func (s *server) validate(link string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/api/auth/validate", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+link)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}

// SIGTERM lets running requests finish, then the program ends with 0.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"), nil)
	c := s.client()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		for i := byte(0); ; i++ {
			if _, err := c.SetSecret(ctx, name(t, "k"), leger.NewPlaintext([]byte{'a' + i%26}), 0); err != nil {
				done <- err
				return
			}
		}
	}()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if state := s.cmd.ProcessState; state.ExitCode() != 0 {
		t.Errorf("ended with %v\n%s", state, s.output())
	}
	if err := <-done; !errors.Is(err, leger.ErrUnreachable) {
		t.Errorf("a request ended with %v", err)
	}
	if strings.Contains(s.output(), `"status":500`) {
		t.Errorf("a request was cut:\n%s", s.output())
	}
}

// signInBrowser signs alice's browser in, and gives its cookie.
func signInBrowser(t *testing.T, s *server) *http.Cookie {
	t.Helper()
	out, err := command(t, nil, "login-link", "--data", s.data, "--public-url", s.url, "--email", "alice@example.com").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, link, _ := strings.Cut(strings.TrimSpace(string(out)), "token=")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/auth/validate", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+link)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if len(res.Cookies()) != 1 {
		t.Fatalf("signing in: %d, %d cookies", res.StatusCode, len(res.Cookies()))
	}
	return res.Cookies()[0]
}

// getUser is what a browser with the cookie is answered.
func (s *server) getUser(cookie *http.Cookie) (status int) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/api/user", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.AddCookie(cookie)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}
