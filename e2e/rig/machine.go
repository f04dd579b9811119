// Package rig gives a Go test a machine of its own: a small Debian with a
// current Podman, its own systemd, a user with lingering, and a network with
// nothing but a loopback interface. It boots in about a second and forgets
// everything when it is stopped. On top of that the package starts what the
// end-to-end tests of Leger need next to it: Tailscale with a control server, a
// git server, an image to run, and the programs under test.
//
// The work is done by the scripts in e2e/machine, e2e/tailnet and e2e/image,
// which can be used by hand as well; this package calls them, ends the test
// with a message that says what went wrong, shows the machine's journal when a
// test fails, and stops the machine whatever happens, even if the test process
// is killed.
//
// It needs root, and fails without it: a test that cannot run has not passed.
// It does not hide the machine: whatever it has no method for can be done with
// [Machine.Run] and [Machine.Root].
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// User is the account that the tests run as in the machine, UID its number and
// Home its directory. OtherUser is a second account, which must not get at what
// belongs to the first.
const (
	User      = "leger-test"
	UID       = 1000
	Home      = "/home/leger-test"
	OtherUser = "leger-other"
)

// Bin is where the machine sees the programs that [Machine.AddPrograms] and
// [Machine.BuildPrograms] give it. It is the first directory in PATH.
const Bin = "/opt/rig/bin"

const (
	// bootTimeout allows for building the machine's tree, which happens once.
	bootTimeout = 10 * time.Minute
	// scriptTimeout is more than any script on a running machine gives itself.
	scriptTimeout = 3 * time.Minute
)

// Machine is a running machine that belongs to one test.
//
// Methods that cannot do what they are for end the test, so they must be called
// from the test's own goroutine; [Machine.Run] and [Machine.Root] may be called
// from any.
type Machine struct {
	t        testing.TB
	root     string // of the repository
	state    string // the scripts' STATE_DIR
	pid      int
	lifeline *os.File
}

// Bind shows a directory of the host in the machine.
type Bind struct {
	// Host and Guest are absolute paths of directories. Guest is made when the
	// machine does not have it.
	Host, Guest string
	// ReadOnly keeps the machine from writing to it.
	ReadOnly bool
}

// Boot boots a machine and stops it at the end of the test.
func Boot(t testing.TB, binds ...Bind) *Machine {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatalf("rig: %v", err)
	}
	// Not below t.TempDir: its name has the test's in it, with any character.
	state, err := os.MkdirTemp("", "leger-machine-")
	if err != nil {
		t.Fatalf("rig: %v", err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatalf("rig: %v", err)
	}
	m := &Machine{t: t, root: root, state: state, lifeline: writer}
	t.Cleanup(m.close)

	args := []string{state, "--lifeline", "3"} // the first of ExtraFiles
	for _, bind := range binds {
		text := bind.Host + ":" + bind.Guest
		if bind.ReadOnly {
			text += ":ro"
		}
		args = append(args, "--bind", text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	boot := m.script(ctx, "machine/boot", args...)
	boot.ExtraFiles = []*os.File{reader}
	output, err := boot.CombinedOutput()
	_ = reader.Close()
	if err != nil {
		t.Fatalf("rig: boot: %v\n%s", err, output)
	}
	if len(output) > 0 {
		t.Logf("rig: boot: %s", output)
	}
	m.pid = m.readPID()
	return m
}

// For returns the same machine for a subtest, which then fails instead of its
// parent when something goes wrong.
func (m *Machine) For(t testing.TB) *Machine {
	other := *m
	other.t = t
	return &other
}

// PID is the machine's first process as the host sees it, for nsenter.
func (m *Machine) PID() int { return m.pid }

// StateDir is the directory that the scripts in e2e/machine call STATE_DIR.
func (m *Machine) StateDir() string { return m.state }

// HostPath is a file of the machine's as root on the host sees it. It does not
// follow absolute symbolic links of the machine's, and who connects to a socket
// this way is root.
func (m *Machine) HostPath(guest string) string {
	return filepath.Join("/proc", strconv.Itoa(m.pid), "root", guest)
}

// Reboot restarts everything in the machine but process 1 and returns when it is
// up again; the user's own units may still be starting. Files stay, save those in
// /tmp and /run/user; units that were started with [Machine.StartUnit] are gone,
// Tailscale's and the git server's too.
func (m *Machine) Reboot(ctx context.Context) {
	m.t.Helper()
	m.mustScript(ctx, "machine/reboot", m.state)
}

// Stop shuts the machine down before the end of the test, in good order.
func (m *Machine) Stop(ctx context.Context) {
	m.t.Helper()
	m.mustScript(ctx, "machine/stop", m.state)
}

// Kill ends every process of the machine at once, as pulling the plug does.
func (m *Machine) Kill(ctx context.Context) {
	m.t.Helper()
	m.mustScript(ctx, "machine/stop", m.state, "--kill")
}

// Journal returns what journalctl prints with these arguments. It works on a
// machine that is stopped, too.
func (m *Machine) Journal(ctx context.Context, args ...string) string {
	m.t.Helper()
	output, err := m.journal(ctx, args...)
	if err != nil {
		m.t.Fatalf("rig: %v", err)
	}
	return output
}

func (m *Machine) journal(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	command := m.script(ctx, "machine/journal", append([]string{m.state}, args...)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("journal: %w\n%s", err, stderr.String())
	}
	return string(output), nil
}

// close is the end of the test: the journal if it failed, then the plug.
func (m *Machine) close() {
	// The test's own context is done by now.
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	if m.t.Failed() {
		m.showJournal(ctx)
	}
	output, err := m.script(ctx, "machine/stop", m.state, "--kill").CombinedOutput()
	if err != nil {
		m.t.Errorf("rig: stop: %v\n%s", err, output)
	}
	_ = m.lifeline.Close()
	if err := os.RemoveAll(m.state); err != nil {
		m.t.Errorf("rig: %v", err)
	}
}

// showJournal logs the end of the journal, and keeps the whole of it where
// LEGER_E2E_ARTIFACTS says.
func (m *Machine) showJournal(ctx context.Context) {
	journal, err := m.journal(ctx, "--output=short-precise")
	if err != nil {
		m.t.Logf("rig: %v", err)
		return
	}
	if directory := os.Getenv("LEGER_E2E_ARTIFACTS"); directory != "" {
		name := strings.NewReplacer("/", "_", " ", "_").Replace(m.t.Name()) + ".journal"
		if err := os.WriteFile(filepath.Join(directory, name), []byte(journal), 0o600); err != nil {
			m.t.Logf("rig: keep journal: %v", err)
		}
	}
	const most = 200
	lines := strings.Split(strings.TrimRight(journal, "\n"), "\n")
	if len(lines) > most {
		lines = append([]string{fmt.Sprintf("… %d lines before", len(lines)-most)}, lines[len(lines)-most:]...)
	}
	m.t.Logf("rig: journal of the machine:\n%s", strings.Join(lines, "\n"))
}

// readPID reads what boot wrote.
func (m *Machine) readPID() int {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.state, "pid"))
	if err != nil {
		m.t.Fatalf("rig: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		m.t.Fatalf("rig: pid file: %v", err)
	}
	return pid
}

// alive says whether the machine's first process is there.
func (m *Machine) alive() bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(m.pid), "ns"))
	return err == nil
}

// mustScript runs a script that has to succeed, and logs what it says.
func (m *Machine) mustScript(ctx context.Context, name string, args ...string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, scriptTimeout)
	defer cancel()
	output, err := m.script(ctx, name, args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("rig: %s: %v\n%s", name, err, output)
	}
	if len(output) > 0 {
		m.t.Logf("rig: %s: %s", name, output)
	}
}

// script is a script below e2e, to be run on the host.
func (m *Machine) script(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(m.root, "e2e", filepath.FromSlash(name)), args...)
	// What a script has started, in the machine too, is in its process group,
	// and has to go with it when the context is done.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 5 * time.Second
	return command
}

// repository finds the root of the repository: tests run in the directory of
// their package, somewhere below it.
func repository() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(directory, "e2e", "machine", "boot"))
		if err == nil {
			return directory, nil
		}
		parent := filepath.Dir(directory)
		if !errors.Is(err, fs.ErrNotExist) || parent == directory {
			return "", errors.New("e2e/machine/boot not found: run the tests in the repository")
		}
		directory = parent
	}
}
