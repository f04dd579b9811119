package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"leger.run/leger/bench/trial"
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

	seed(context.Context, []trial.Secret) error
	// list gets all secrets with their values, in as many calls as it takes.
	list(context.Context) (map[string]string, error)
	read(ctx context.Context, name string) (string, error)
	create(context.Context, trial.Secret) error
	remove(ctx context.Context, name string) error

	// calls is how many HTTP requests list makes for n secrets.
	calls(n int) int
	// survives says what an acknowledged write outlives, and how that is known.
	survives() string
}

// workload is the same for all.
type workload struct {
	secrets []trial.Secret
	made    int
}

// next gives a secret of a name that was never used.
func (w *workload) next() trial.Secret {
	w.made++
	return trial.Unused(w.made)
}

// contenders gives Leger first.
func contenders(bin, peers, dir string) []contender {
	client := trial.NewClient(30 * time.Second)
	return []contender{
		&leger{program: filepath.Join(bin, "leger-server"), data: filepath.Join(dir, "leger"), http: client},
		&setecPeer{program: filepath.Join(peers, "setec"), data: filepath.Join(dir, "setec"), http: client},
		&setecPeer{program: filepath.Join(peers, "setec"), data: filepath.Join(dir, "setec-lazy"), http: client, lazyAudit: true},
		&pocketBase{program: filepath.Join(peers, "pocketbase"), data: filepath.Join(dir, "pocketbase"), http: client},
	}
}

// buildPeers builds the peers, a module of their own in dir, as Leger's own programs
// are built.
func buildPeers(ctx context.Context, dir, out string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out+string(filepath.Separator), "./...") //nolint:gosec // a directory of our own making
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build the peers in %s: %w\n%s", dir, err, text)
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
