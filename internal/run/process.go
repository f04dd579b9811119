package run

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"leger.run/leger"
)

// Process is a program that was started. Wait must be called once.
type Process struct {
	ctx       context.Context // of Start; like exec.Cmd, a Process is bound to one
	command   Command
	cmd       *exec.Cmd
	runner    *Runner
	stdout    *limited
	stderr    *limited
	limit     int64
	begun     time.Time
	abort     context.CancelFunc
	cancelled atomic.Bool // ctx or the output limit made us send SIGTERM
	stopped   atomic.Bool // Stop did
	ended     chan struct{}
}

// Start executes c and returns while it runs: for programs that serve, such as
// "podman system service". When ctx is done the program is ended as in Run.
// Errors are those of Run.
func (r *Runner) Start(ctx context.Context, c Command) (*Process, error) {
	if ctx.Err() != nil {
		return nil, cancelled(ctx, c)
	}
	path, err := r.LookPath(c.Path)
	if err != nil {
		return nil, err
	}
	limit := c.MaxOutput
	if limit == 0 {
		limit = r.cfg.MaxOutput
	}
	inner, abort := context.WithCancel(ctx)
	p := &Process{
		ctx: ctx, command: c, runner: r, limit: limit, abort: abort,
		stdout: newLimited(c.Stdout, limit, abort),
		stderr: newLimited(c.Stderr, limit, abort),
		ended:  make(chan struct{}), begun: time.Now(),
	}
	p.cmd = exec.CommandContext(inner, path, c.Args...) //nolint:gosec // G204: running what the adapters ask for is this package's purpose; no shell
	p.cmd.Dir, p.cmd.Stdin, p.cmd.ExtraFiles = c.Dir, c.Stdin, c.Files
	p.cmd.Env = append([]string{}, c.Env...) // never nil: nil would inherit Leger's environment
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.SysProcAttr = attributes()
	p.cmd.Cancel = func() error {
		p.cancelled.Store(true)
		return p.terminate()
	}
	// After this, os/exec closes the pipes that a surviving grandchild holds open.
	p.cmd.WaitDelay = r.cfg.Grace + time.Second
	if err := p.cmd.Start(); err != nil {
		abort()
		if ctx.Err() != nil {
			return nil, cancelled(ctx, c)
		}
		return nil, leger.Wrap(leger.CodeInternal, startCause(err), "start %s", c)
	}
	return p, nil
}

// startCause drops the program's path and arguments that os/exec may put into
// its errors and keeps the reason.
func startCause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// PID is the program's process id, which is also its process group's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait waits for the program's end and gives what Run gives. After Stop its
// error is nil.
func (p *Process) Wait() (Result, error) {
	waitErr := p.cmd.Wait()
	close(p.ended)
	p.abort()
	if p.cancelled.Load() || p.stopped.Load() {
		// The leader is gone; whatever it left in its group goes too.
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	res := Result{Stdout: p.stdout.kept(), Stderr: p.stderr.kept(), Code: exitCode(p.cmd)}
	err := p.explain(waitErr)
	p.runner.cfg.Logger.LogAttrs(p.ctx, slog.LevelDebug, "program ended",
		slog.String("command", p.command.String()), slog.Int("code", res.Code), slog.Duration("took", time.Since(p.begun).Round(time.Millisecond)))
	return res, err
}

// Stop asks the program to end: SIGTERM to its group, SIGKILL after the grace
// period. It does not wait; Wait does.
func (p *Process) Stop() {
	select {
	case <-p.ended: // its id may belong to somebody else by now
	default:
		p.stopped.Store(true)
		_ = p.terminate()
	}
}

// terminate ends the program's group, gently at first.
func (p *Process) terminate() error {
	group := -p.PID()
	err := syscall.Kill(group, syscall.SIGTERM)
	go func() {
		timer := time.NewTimer(p.runner.cfg.Grace)
		defer timer.Stop()
		select {
		case <-p.ended:
		case <-timer.C:
			_ = syscall.Kill(group, syscall.SIGKILL)
		}
	}()
	return err
}

func (p *Process) overflow() bool { return p.stdout.overflowed() || p.stderr.overflowed() }

func exitCode(cmd *exec.Cmd) int {
	if cmd.ProcessState == nil {
		return -1
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// limited passes on or keeps at most max bytes and then stops the program.
type limited struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	to    io.Writer // nil: buf
	left  int64     // negative: no limit
	over  bool
	abort context.CancelFunc
}

func newLimited(to io.Writer, limit int64, abort context.CancelFunc) *limited {
	return &limited{to: to, left: limit, abort: abort}
}

// Write never fails for being over the limit: an error would make os/exec close
// the pipe, and the program would die of SIGPIPE before it is asked to end.
func (l *limited) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	if l.left >= 0 && int64(n) > l.left {
		b = b[:l.left]
		l.over = true
		l.abort()
	}
	if l.left >= 0 {
		l.left -= int64(len(b))
	}
	if l.to == nil {
		l.buf.Write(b)
		return n, nil
	}
	if _, err := l.to.Write(b); err != nil {
		return 0, err
	}
	return n, nil
}

func (l *limited) overflowed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

func (l *limited) kept() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}
