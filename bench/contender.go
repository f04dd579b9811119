package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// contender is one server with the client that its users would use.
type contender interface {
	name() string
	// start starts the server on its data, which a second start finds again.
	start(context.Context) error
	stop() error
	pid() int
	// kill ends the process without a chance to write anything more.
	kill() error

	seed(context.Context, []secret) error
	// list gets all secrets with their values, in as many calls as it takes.
	list(context.Context) (map[string]string, error)
	read(ctx context.Context, name string) (string, error)
	create(context.Context, secret) error
	remove(ctx context.Context, name string) error

	// calls is how many HTTP requests list makes for n secrets.
	calls(n int) int
	// survives says what an acknowledged write outlives, and how that is known.
	survives() string
}

type secret struct{ name, value string }

// workload is the same for all: 100 secrets of 64 characters, the size of an API key.
type workload struct {
	secrets []secret
	made    int
}

const secretCount = 100

func newWorkload() *workload {
	w := &workload{}
	for i := range secretCount {
		w.secrets = append(w.secrets, secret{fmt.Sprintf("SECRET_%03d", i), valueOf("seed", i)})
	}
	return w
}

// next gives a secret of a name that was never used.
func (w *workload) next() secret {
	w.made++
	return secret{fmt.Sprintf("NEW_%06d", w.made), valueOf("new", w.made)}
}

func valueOf(kind string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	return base64.RawStdEncoding.EncodeToString(append(sum[:], sum[:16]...))
}

// contenders gives Leger first.
func contenders(bin, peers, dir string) []contender {
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	return []contender{
		&leger{program: filepath.Join(bin, "leger-server"), data: filepath.Join(dir, "leger"), http: client},
		&setecPeer{program: filepath.Join(peers, "setec"), data: filepath.Join(dir, "setec"), http: client},
		&setecPeer{program: filepath.Join(peers, "setec"), data: filepath.Join(dir, "setec-lazy"), http: client, lazyAudit: true},
		&pocketBase{program: filepath.Join(peers, "pocketbase"), data: filepath.Join(dir, "pocketbase"), http: client},
	}
}

// buildPeers builds them as Leger's own programs are built.
func buildPeers(ctx context.Context, out string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out+string(filepath.Separator), "./peer/...") //nolint:gosec // a directory of our own making
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build the peers (run it in bench/): %w\n%s", err, text)
	}
	return nil
}

// process is a running server, its standard error in a file beside its data.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// launch starts a server that outlives no benchmark: its standard input ends with it.
func launch(ctx context.Context, data string, env []string, program string, args ...string) (*process, *bufio.Reader, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, nil, err
	}
	log, err := os.OpenFile(data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the benchmark's own directory
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = log.Close() }()
	c := exec.CommandContext(context.WithoutCancel(ctx), program, args...) //nolint:gosec // built by us
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + data}, env...)
	c.Stderr = log
	in, inErr := c.StdinPipe()
	out, outErr := c.StdoutPipe()
	if err := errors.Join(inErr, outErr, c.Start()); err != nil {
		return nil, nil, err
	}
	return &process{cmd: c, stdin: in}, bufio.NewReader(out), nil
}

func (p *process) stop() error {
	if p == nil || p.cmd.ProcessState != nil {
		return nil
	}
	err := errors.Join(p.stdin.Close(), p.cmd.Process.Signal(syscall.SIGTERM))
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		err = errors.Join(err, fmt.Errorf("%s did not end", p.cmd.Path), p.cmd.Process.Kill())
		<-done
	}
	return err
}

func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // says that it was killed
	return err
}

// answer reads the line that a peer prints when it takes connections.
func answer(out *bufio.Reader, data string) (map[string]string, error) {
	line, err := out.ReadBytes('\n')
	said := map[string]string{}
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		log, _ := os.ReadFile(data + ".log") //nolint:gosec // the benchmark's own directory
		return nil, fmt.Errorf("the server did not start: %w\n%s", err, log)
	}
	return said, nil
}

// call makes one JSON request and decodes the answer into out, if there is one.
func call(ctx context.Context, c *http.Client, method, url, authorization string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", authorization)
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
