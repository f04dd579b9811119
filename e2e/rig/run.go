package rig

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// runTimeout ends a command whose context has no deadline of its own: a test
// that hangs says less than one that fails.
const runTimeout = 2 * time.Minute

// Opts says how to run a command in the machine. The zero value is fine.
type Opts struct {
	// As is the account: User when empty, else OtherUser or "root".
	As string
	// Env is K=V pairs, added to HOME, PATH, XDG_RUNTIME_DIR and the like.
	Env []string
	// Dir is the working directory, the home directory when empty.
	Dir string
	// Stdin is what the command reads; nothing when nil.
	Stdin io.Reader
	// Output, when not nil, gets standard output and error while the command
	// runs, as well as Result.
	Output io.Writer
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	// Code is the exit code, 128 plus the number when a signal ended it, and -1
	// when the context did.
	Code int
}

// String shows everything, for the message of a test that fails.
func (r Result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.Code, r.Stdout, r.Stderr)
}

// Run runs a command in the machine as the test user and waits for it. Its exit
// code is for the caller to judge.
func (m *Machine) Run(ctx context.Context, opts Opts, name string, args ...string) Result {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, runTimeout)
		defer cancel()
	}
	command := m.Command(ctx, opts, name, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if opts.Output != nil {
		// Each stream is copied by a goroutine of its own.
		both := &lockedWriter{w: opts.Output}
		command.Stdout = io.MultiWriter(&stdout, both)
		command.Stderr = io.MultiWriter(&stderr, both)
	}
	err := command.Run()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		result.Code = -1
		result.Stderr += fmt.Sprintf("\nrig: %s: %v", name, ctx.Err())
	case errors.As(err, &exit):
		result.Code = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			result.Code = 128 + int(status.Signal())
		}
		if !m.alive() {
			result.Stderr += "\nrig: the machine is gone"
		}
	case err != nil:
		result.Code = -1
		result.Stderr += "\nrig: " + err.Error()
	}
	return result
}

// Root runs a command in the machine as root.
func (m *Machine) Root(ctx context.Context, opts Opts, name string, args ...string) Result {
	opts.As = "root"
	return m.Run(ctx, opts, name, args...)
}

// Must is [Machine.Run] for a command that has to succeed: it returns standard
// output without the last newline, or ends the test.
func (m *Machine) Must(ctx context.Context, opts Opts, name string, args ...string) string {
	m.t.Helper()
	result := m.Run(ctx, opts, name, args...)
	if result.Code != 0 {
		m.t.Fatalf("%s %s: %s", name, strings.Join(args, " "), result)
	}
	return strings.TrimSuffix(result.Stdout, "\n")
}

// Command prepares a command in the machine for a caller that wants to start
// and end it by itself, or to talk to it. It has a process group of its own, which the end of ctx kills.
func (m *Machine) Command(ctx context.Context, opts Opts, name string, args ...string) *exec.Cmd {
	enter := []string{m.state}
	if opts.As != "" {
		enter = append(enter, "--user", opts.As)
	}
	if opts.Dir != "" {
		enter = append(enter, "--chdir", opts.Dir)
	}
	for _, variable := range opts.Env {
		enter = append(enter, "--env", variable)
	}
	enter = append(append(enter, "--", name), args...)
	command := m.script(ctx, "machine/enter", enter...)
	command.Stdin = opts.Stdin
	return command
}

// HostCommand prepares a program of the host that runs in the machine's
// network, such as a browser. It sees the host's files.
func (m *Machine) HostCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := append([]string{"--target", fmt.Sprint(m.pid), "--net", "--", name}, args...)
	command := exec.CommandContext(ctx, "nsenter", enter...)
	command.WaitDelay = 5 * time.Second
	return command
}

// WriteFile writes a file of the test user's, with the directories above it.
func (m *Machine) WriteFile(ctx context.Context, name, content string) {
	m.t.Helper()
	m.WriteTree(ctx, path.Dir(name), map[string]string{path.Base(name): content})
}

// WriteTree writes files of the test user's below a directory, which it makes.
// Names are relative and may have directories in them; a name that ends in .sh
// is made executable.
func (m *Machine) WriteTree(ctx context.Context, directory string, files map[string]string) {
	m.t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}
		if strings.HasSuffix(name, ".sh") {
			header.Mode = 0o755
		}
		if err := writer.WriteHeader(header); err != nil {
			m.t.Fatalf("rig: write %s: %v", name, err)
		}
		if _, err := io.WriteString(writer, files[name]); err != nil {
			m.t.Fatalf("rig: write %s: %v", name, err)
		}
	}
	if err := writer.Close(); err != nil {
		m.t.Fatalf("rig: write %s: %v", directory, err)
	}
	m.Must(ctx, Opts{Stdin: &archive}, "sh", "-c",
		`mkdir -p -- "$1" && exec tar --extract --no-same-owner --directory "$1"`, "sh", directory)
}

// ReadFile returns the contents of a file, read as root.
func (m *Machine) ReadFile(ctx context.Context, name string) string {
	m.t.Helper()
	result := m.Root(ctx, Opts{}, "cat", "--", name)
	if result.Code != 0 {
		m.t.Fatalf("read %s: %s", name, result)
	}
	return result.Stdout
}
