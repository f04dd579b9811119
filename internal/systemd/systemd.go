// Package systemd speaks to the user's systemd over D-Bus: it reloads it, starts
// and stops units, tells how they are, and reads from the journal why one
// failed.
//
// Its invariant: an action is over when its method returns. Start has waited for
// systemd's job and knows its result; it never takes "queued" for "done".
//
// It deliberately knows nothing of quadlets and decides nothing: which units,
// in which order and what follows from a failure is up to deploy and daemon.
package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unicode"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// Config says how to reach the user's systemd.
type Config struct {
	// Address is the session bus's ($DBUS_SESSION_BUS_ADDRESS). Empty: the socket
	// "bus" in RuntimeDir.
	Address string
	// RuntimeDir is the user's ($XDG_RUNTIME_DIR).
	RuntimeDir string
	Runner     *run.Runner // for journalctl
	Env        []string    // of journalctl (run.MinimalEnv)
}

// Manager is a connection to the user's systemd. It is safe for concurrent use.
type Manager struct {
	cfg  Config
	conn *sd.Conn
	bus  *dbus.Conn // the connection that conn makes its calls on

	mu     sync.Mutex
	closed bool
	held   hold
}

// Open connects. Without a user manager that can be reached it fails with
// ErrMissingPart, and the hint says what is missing.
func Open(cfg Config) (*Manager, error) {
	address := cfg.Address
	if address == "" {
		if cfg.RuntimeDir == "" {
			return nil, leger.Errorf(leger.CodeMissingPart, "XDG_RUNTIME_DIR is not set, so the user's systemd cannot be found").
				WithHint("log in as the user itself (ssh or a desktop session, not su or sudo), or run: sudo loginctl enable-linger $USER")
		}
		address = "unix:path=" + filepath.Join(cfg.RuntimeDir, "bus")
	}
	// The library's own way to find the bus would start one when there is none.
	m := &Manager{cfg: cfg}
	conn, err := sd.NewConnection(func() (*dbus.Conn, error) {
		bus, err := dial(address)
		if m.bus == nil { // the second one is for signals
			m.bus = bus
		}
		return bus, err
	})
	if err != nil {
		return nil, noBus(cfg, err)
	}
	m.conn = conn
	// A bus without systemd behind it exists: dbus-run-session, containers.
	if _, err := conn.GetManagerProperty("Version"); err != nil {
		m.Close()
		return nil, leger.Wrap(leger.CodeMissingPart, err, "no systemd of this user answers on the session bus").
			WithHint("quadlets need a user manager: log in through systemd-logind, or run: sudo loginctl enable-linger $USER")
	}
	return m, nil
}

func dial(address string) (*dbus.Conn, error) {
	conn, err := dbus.Dial(address)
	if err != nil {
		return nil, err
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := conn.Hello(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func noBus(cfg Config, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return leger.Wrap(leger.CodeMissingPart, err, "the user's session bus is not there").
			WithHint("install dbus-user-session (Debian) or dbus-broker (Fedora) and log in again; for a user who is not logged in: sudo loginctl enable-linger $USER")
	}
	return leger.Wrap(leger.CodeMissingPart, err, "the user's session bus does not answer").
		WithHint("check that %s belongs to you and that systemctl --user works", filepath.Join(cfg.RuntimeDir, "bus"))
}

// Close ends the connection. Units go on as they are.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.letGo()
		m.conn.Close()
	}
}

// Reload makes systemd read its units anew, Podman's generator run included
// (systemctl --user daemon-reload), and ends this Manager's Hold. It returns when the
// units are there. ErrUnavailable if systemd refuses.
func (m *Manager) Reload(ctx context.Context) error {
	if err := m.release(); err != nil {
		return err
	}
	return m.reload(ctx)
}

func (m *Manager) reload(ctx context.Context) error {
	if err := m.conn.ReloadContext(ctx); err != nil {
		return wrap(ctx, err, "reload the user's systemd")
	}
	return nil
}

// Start starts a unit and waits for the job. It fails with ErrUnhealthy when the
// unit, or one it needs, did not start; with ErrNotFound when there is no such
// unit. A cancelled ctx ends the waiting (ErrInterrupted, or ErrUnavailable for a
// deadline), not the job: Stop ends that.
func (m *Manager) Start(ctx context.Context, unit string) error {
	return m.job(ctx, unit, "start", m.conn.StartUnitContext)
}

// Restart stops and starts a unit, or starts it if it is not running. Errors as
// Start.
func (m *Manager) Restart(ctx context.Context, unit string) error {
	return m.job(ctx, unit, "restart", m.conn.RestartUnitContext)
}

type jobFunc = func(ctx context.Context, name, mode string, done chan<- string) (int, error)

func (m *Manager) job(ctx context.Context, unit, verb string, queue jobFunc) error {
	if err := checkName(unit); err != nil {
		return err
	}
	done := make(chan string, 1) // buffered: nobody may be left to read it
	// "replace": what the user asks for now wins over a job that is still queued.
	if _, err := queue(ctx, unit, "replace", done); err != nil {
		return wrap(ctx, err, verb+" "+unit)
	}
	select {
	case result := <-done:
		return jobError(unit, verb, result)
	case <-ctx.Done():
		return wrap(ctx, ctx.Err(), "wait for "+unit+" to "+verb)
	}
}

// jobError reads the result of a job
// (https://www.freedesktop.org/software/systemd/man/org.freedesktop.systemd1.html, "JobRemoved").
func jobError(unit, verb, result string) error {
	switch result {
	case "done", "skipped":
		return nil
	case "dependency":
		return leger.Errorf(leger.CodeUnhealthy, "%s did not %s: a unit that it needs failed", unit, verb)
	case "timeout":
		return leger.Errorf(leger.CodeUnhealthy, "%s did not %s in time", unit, verb)
	case "canceled":
		return leger.Errorf(leger.CodeUnhealthy, "%s did not %s: somebody else changed it meanwhile", unit, verb)
	default:
		return leger.Errorf(leger.CodeUnhealthy, "%s did not %s (%s)", unit, verb, result)
	}
}

// ResetFailed makes systemd forget that a unit failed, and how often it was
// restarted. A unit that is not loaded has nothing to forget.
func (m *Manager) ResetFailed(ctx context.Context, unit string) error {
	if err := checkName(unit); err != nil {
		return err
	}
	err := wrap(ctx, m.conn.ResetFailedUnitContext(ctx, unit), "reset "+unit)
	if errors.Is(err, leger.ErrNotFound) {
		return nil
	}
	return err
}

// checkName keeps what is not a unit's name from systemd: it would be read as a
// path or a pattern.
func checkName(unit string) error {
	if !nameTaken(unit) {
		return leger.Invalid("unit", "%.80q is not the name of a unit", unit)
	}
	return nil
}

// nameTaken reports whether systemd takes a name for a unit's (systemd.unit(5):
// ASCII letters, digits and ":-_.\\", "@" before an instance, at most 255 bytes). A
// leading "-" is left out: it would be an option to journalctl.
func nameTaken(unit string) bool {
	return len(unit) <= 255 && !strings.HasPrefix(unit, "-") && strings.Contains(unit, ".") &&
		!strings.ContainsFunc(unit, func(r rune) bool {
			return r > unicode.MaxASCII || (!unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(`:-_.\@`, r))
		})
}

// wrap gives D-Bus's errors our codes. nil stays nil.
func wrap(ctx context.Context, err error, what string) error {
	var bus dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return leger.Wrap(leger.CodeUnavailable, ctx.Err(), "%s: systemd took too long", what)
	case ctx.Err() != nil:
		return leger.Wrap(leger.CodeInterrupted, ctx.Err(), "%s: interrupted", what)
	case errors.As(err, &bus) && (bus.Name == "org.freedesktop.systemd1.NoSuchUnit" || bus.Name == "org.freedesktop.systemd1.LoadFailed"):
		return leger.Wrap(leger.CodeNotFound, err, "%s", what)
	case errors.As(err, &bus) && bus.Name == "org.freedesktop.systemd1.UnitMasked":
		return leger.Wrap(leger.CodeConflict, err, "%s: it is masked", what).WithHint("systemctl --user unmask it first")
	default:
		return leger.Wrap(leger.CodeUnavailable, err, "%s", what)
	}
}

// Lingering reports whether the services of a user go on after logout and start
// at boot (loginctl enable-linger).
func Lingering(user string) bool {
	_, err := os.Stat(filepath.Join("/var/lib/systemd/linger", filepath.Base(user)))
	return err == nil
}
