// Package workerd runs a Cloudflare Worker on this machine, for tests and
// measurements: wrangler dev, offline, with storage, port, home and secrets of its
// own, all of which are gone after Stop.
//
// The Worker's own wrangler configuration is used, with its paths made absolute and
// edited as a test asks, from a private directory: nothing is written beside the
// Worker's sources, and a developer's .dev.vars there, which wrangler prefers to
// anything else, is not seen.
//
// It reads /proc to tell the Worker's process from that of wrangler's proxy, and so
// runs on Linux only. It knows no testing.T, because a benchmark uses it too, and
// nothing of Leger.
package workerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says which Worker to run, and how. Dir and Tools are required.
type Config struct {
	Dir     string // holds the Worker's wrangler configuration
	File    string // the configuration's name in Dir; "" is wrangler.jsonc
	Tools   string // holds node_modules with the pinned node and wrangler
	Persist string // keeps KV, D1 and R2; "" makes one that Stop removes

	// Edit changes the configuration before wrangler sees it; nil leaves it alone.
	Edit func(Settings)
	// Secrets go into a file that only this user can read, never into arguments.
	Secrets map[string]string
	// Unmigrated leaves the databases as they are.
	Unmigrated bool
	// Before is called when the databases are migrated, before the Worker runs; nil does
	// nothing.
	Before func(*Worker) error
	// Quiet keeps wrangler from logging every request, which takes longer than a
	// small Worker needs to answer one. The Worker's own log is gone, too.
	Quiet bool
	// Idle waits until wrangler has nothing to do before the first request is sent, so
	// that First is the Worker's alone.
	Idle bool
}

// Worker is a running Worker. Its methods are safe for concurrent use.
type Worker struct {
	// URL is wrangler's, where a developer's browser goes; its proxy stands between.
	URL string
	// Direct is the Worker's own process, without the proxy, which takes several
	// times longer than a small Worker.
	Direct string
	// First is how long the first request of the new instance took, GET /health on a
	// connection that was open already.
	First time.Duration

	config  Config
	private string // directory of everything that is this Worker's own
	group   int    // process group of wrangler and all it starts
	cmd     *exec.Cmd
	ended   chan struct{}
	log     logBuffer
	stop    sync.Once
	stopErr error
}

// Limits of what wrangler may take on a busy machine.
const (
	startTimeout = 90 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 20 * time.Millisecond
)

// Start applies the migrations, starts the Worker and waits until /health answers
// with 200. The error holds wrangler's log.
func Start(ctx context.Context, c Config) (_ *Worker, err error) {
	if _, err := os.Stat(c.node()); err != nil {
		return nil, fmt.Errorf("find the pinned node (npm install in %s): %w", c.Tools, err)
	}
	private, err := os.MkdirTemp("", "leger-workerd-") // 0700
	if err != nil {
		return nil, err
	}
	w := &Worker{config: c, private: private, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%w\n%s", err, w.Log()), w.Stop())
		}
	}()
	if w.config.Persist == "" {
		w.config.Persist = w.ownState()
	}
	settings, err := w.prepare()
	if err != nil {
		return nil, err
	}
	if !c.Unmigrated {
		if err := w.migrate(ctx, settings); err != nil {
			return nil, err
		}
	}
	if c.Before != nil {
		if err := c.Before(w); err != nil {
			return nil, err
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	w.URL = "http://127.0.0.1:" + strconv.Itoa(port)
	if err := w.launch(ctx, port); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := w.firstRequest(ctx, port); err != nil {
		return nil, err
	}
	return w, w.answers(ctx, w.URL)
}

func (c Config) node() string { return filepath.Join(c.Tools, "node_modules", ".bin", "node") }

func (c Config) wrangler() string {
	return filepath.Join(c.Tools, "node_modules", "wrangler", "bin", "wrangler.js")
}

// prepare fills the private directory, and gives the settings that wrangler sees.
func (w *Worker) prepare() (Settings, error) {
	file := w.config.File
	if file == "" {
		file = "wrangler.jsonc"
	}
	s, err := ReadSettings(filepath.Join(w.config.Dir, file))
	if err != nil {
		return nil, err
	}
	if w.config.Edit != nil {
		w.config.Edit(s)
	}
	if err := s.write(w.settingsFile()); err != nil {
		return nil, err
	}
	if err := os.Mkdir(w.home(), 0o700); err != nil {
		return nil, err
	}
	var env bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(w.config.Secrets)) {
		value := w.config.Secrets[name]
		if strings.ContainsAny(value, "'\r\n") {
			return nil, fmt.Errorf("the secret %s has a quote or a line break, which the file format cannot hold", name)
		}
		// Between single quotes only $ is special: wrangler expands variables there, too.
		_, _ = fmt.Fprintf(&env, "%s='%s'\n", name, strings.ReplaceAll(value, "$", `\$`))
	}
	return s, os.WriteFile(w.envFile(), env.Bytes(), 0o600)
}

func (w *Worker) settingsFile() string { return filepath.Join(w.private, "wrangler.json") }
func (w *Worker) envFile() string      { return filepath.Join(w.private, "secrets.env") }
func (w *Worker) home() string         { return filepath.Join(w.private, "home") }

// ownState is the storage that goes with the Worker, where wrangler itself would have it.
func (w *Worker) ownState() string { return filepath.Join(w.private, ".wrangler", "state") }

// environ has nothing of the caller's: no account, no proxy, no settings.
func (w *Worker) environ() []string {
	return []string{
		"PATH=" + filepath.Dir(w.config.node()) + ":" + os.Getenv("PATH"),
		"HOME=" + w.home(), "TMPDIR=" + w.private,
		"CI=1", "NO_COLOR=1", "WRANGLER_SEND_METRICS=false", "CLOUDFLARE_CF_FETCH_ENABLED=false",
		// Each operation and each line of the log would be written to a database of wrangler's,
		// which takes longer than they do.
		"X_LOCAL_OBSERVABILITY=false", "X_LOCAL_EXPLORER=false",
	}
}

func (w *Worker) launch(ctx context.Context, port int) error {
	args := []string{
		w.config.wrangler(), "dev", "--config", w.settingsFile(), "--env-file", w.envFile(),
		"--local", "--persist-to", w.config.Persist, "--ip", "127.0.0.1", "--port", strconv.Itoa(port), "--inspector-port", "0",
		"--show-interactive-dev-session=false",
	}
	if w.config.Quiet {
		args = append(args, "--log-level", "warn")
	}
	// Stop ends it, in order; the context's end would leave its children behind.
	w.cmd = exec.CommandContext(context.WithoutCancel(ctx), w.config.node(), args...)
	w.cmd.Dir, w.cmd.Env = w.private, w.environ()
	w.cmd.Stdout, w.cmd.Stderr = &w.log, &w.log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.cmd.WaitDelay = time.Second
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("start wrangler: %w", err)
	}
	w.group = w.cmd.Process.Pid
	go func() {
		_ = w.cmd.Wait() // how it ended is in its log
		close(w.ended)
	}()
	return nil
}

// freePort is free now; wrangler cannot be asked which port it chose when quiet.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("a TCP listener without a TCP address")
	}
	return addr.Port, l.Close()
}

// firstRequest finds the Worker's own port and times the first request to it.
func (w *Worker) firstRequest(ctx context.Context, proxyPort int) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		if port, err := w.entryPort(proxyPort); err != nil {
			last = err
		} else {
			w.Direct = "http://127.0.0.1:" + strconv.Itoa(port)
			if w.config.Idle {
				w.idle(ctx)
			}
			if w.First, last = timeFirst(ctx, w.Direct); last == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the Worker: %w: %w", ctx.Err(), last)
		case <-w.ended:
			return errors.New("wrangler ended before the Worker answered")
		case <-tick.C:
		}
	}
}

// idle waits until wrangler's processes took less than a tenth of a core for half a
// second, or ctx ends.
func (w *Worker) idle(ctx context.Context) {
	const look, most = 500 * time.Millisecond, 50 * time.Millisecond
	tick := time.NewTicker(look)
	defer tick.Stop()
	for before := w.processorTime(); ; {
		select {
		case <-ctx.Done():
			return
		case <-w.ended:
			return
		case <-tick.C:
		}
		now := w.processorTime()
		if now-before < most {
			return
		}
		before = now
	}
}

// timeFirst asks for /health on a connection of its own.
func timeFirst(ctx context.Context, url string) (time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	defer transport.CloseIdleConnections()
	begin := time.Now()
	err = health(ctx, &http.Client{Transport: transport}, url)
	return time.Since(begin), errors.Join(err, closeAfter(conn, err))
}

// closeAfter closes a connection that the transport may not have taken.
func closeAfter(conn net.Conn, err error) error {
	if err == nil {
		return nil
	}
	return conn.Close()
}

func health(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/health: %s", url, res.Status)
	}
	return nil
}

// answers waits until /health at url is 200.
func (w *Worker) answers(ctx context.Context, url string) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := health(ctx, http.DefaultClient, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-w.ended:
			return fmt.Errorf("wrangler ended: %w", err)
		case <-tick.C:
		}
	}
}

// Log is what wrangler and the Worker have written so far.
func (w *Worker) Log() string { return w.log.String() }

// Stop ends wrangler and all it started, and removes what was this Worker's own.
// The directory of Config.Persist stays. It may be called more than once.
func (w *Worker) Stop() error {
	w.stop.Do(func() { w.stopErr = errors.Join(w.end(), os.RemoveAll(w.private)) })
	return w.stopErr
}

func (w *Worker) end() error {
	if w.group == 0 {
		return nil
	}
	if err := syscall.Kill(-w.group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end wrangler: %w", err)
	}
	deadline := time.NewTimer(stopTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for w.running() {
		select {
		case <-deadline.C:
			if err := syscall.Kill(-w.group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill wrangler: %w", err)
			}
			<-w.ended
			return nil
		case <-tick.C:
		}
	}
	<-w.ended
	return nil
}

// logBuffer is written by wrangler and read by tests at the same time.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends p.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
