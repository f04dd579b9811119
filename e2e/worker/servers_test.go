//go:build e2e

package worker_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"leger.run/leger/e2e/workerd"
	"leger.run/leger/internal/token"
)

// Where the Worker is, seen from here.
const (
	root   = "../.."
	worker = root + "/worker"
)

// native builds leger-server once for all tests of this package.
var native = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "leger-e2e-worker-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "leger-server")
	build := exec.Command("go", "build", "-o", program, "leger.run/leger/cmd/leger-server")
	build.Stderr = os.Stderr
	return program, build.Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program, err := native(); err == nil {
		_ = os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// keys are what a server of a test is given.
type keys struct{ encryption, shared string }

func newKeys(t *testing.T) keys {
	t.Helper()
	b := make([]byte, 32+48)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return keys{base64.StdEncoding.EncodeToString(b[:32]), base64.StdEncoding.EncodeToString(b[32:])}
}

func (k keys) secret(t *testing.T) token.Secret {
	t.Helper()
	s, err := token.ParseSecret([]byte(k.shared))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startNative runs leger-server with its rate limit off until the test ends, and
// gives its URL.
func startNative(t *testing.T, k keys) string {
	t.Helper()
	url, _ := startNativeIn(t, k, filepath.Join(t.TempDir(), "data"))
	return url
}

// runNative runs one of leger-server's commands, and gives what it said.
func runNative(t *testing.T, k keys, args ...string) string {
	t.Helper()
	program, err := native()
	if err != nil {
		t.Fatalf("build leger-server: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = k.environ(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("leger-server %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// environ is that of a leger-server with these keys.
func (k keys) environ(t *testing.T) []string {
	t.Helper()
	return []string{
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "ENCRYPTION_KEY=" + k.encryption, "JWT_SECRET=" + k.shared,
	}
}

// startNativeIn runs leger-server on a data directory until it is stopped or the test ends.
func startNativeIn(t *testing.T, k keys, data string) (url string, stop func()) {
	t.Helper()
	program, err := native()
	if err != nil {
		t.Fatalf("build leger-server: %v", err)
	}
	// With port 0 its public URL would not be the one it is called by, and it would
	// take its own pages for another site's.
	listen := freeAddress(t)
	cmd := exec.CommandContext(t.Context(), program, "--listen", listen, "--data", data, "--rate-limit", "0")
	cmd.Env = k.environ(t)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	listening, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(listening)
		found := false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct{ Msg, Address string }
			if !found && json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				found = true
				listening <- line.Address
			}
			log.Write(lines.Bytes())
			log.WriteByte('\n')
		}
	}()
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		_ = cmd.Wait()
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		stop()
		if t.Failed() {
			t.Logf("the end of leger-server's log:\n%s", tail(log.String(), 5))
		}
	})
	address, ok := <-listening
	if !ok {
		t.Fatal("leger-server did not start")
	}
	return "http://" + address, stop
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// startWorker runs Leger's Worker, as make worker built it, until the test ends.
func startWorker(t *testing.T, k keys, edit func(*workerd.Config)) *workerd.Worker {
	t.Helper()
	w, err := tryWorker(t, k, edit)
	if err != nil {
		t.Fatalf("start the Worker (make worker builds it): %v", err)
	}
	return w
}

func tryWorker(t *testing.T, k keys, edit func(*workerd.Config)) (*workerd.Worker, error) {
	t.Helper()
	tools, err := filepath.Abs(worker)
	if err != nil {
		return nil, err
	}
	c := workerd.Config{Dir: worker, Tools: tools, Secrets: map[string]string{"ENCRYPTION_KEY": k.encryption, "JWT_SECRET": k.shared}}
	if edit != nil {
		edit(&c)
	}
	inner := c.Edit
	c.Edit = func(s workerd.Settings) {
		s.SetRateLimit("LEGER_REQUESTS", 1_000_000) // as --rate-limit 0
		if assets, ok := s["assets"].(map[string]any); ok {
			first, _ := assets["run_worker_first"].([]any)
			assets["run_worker_first"] = append(first, "/test/*") // which only a test build has
		}
		if inner != nil {
			inner(s)
		}
	}
	w, err := workerd.Start(t.Context(), c)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the Worker's log:\n%s", tail(w.Log(), 40))
		}
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w, nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
