package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// sh gives a command that runs a script; the tests' programs are shell scripts
// because a shell is the one program every machine has.
func sh(script string) run.Command {
	return run.Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

func TestRunGivesOutputAndExitCode(t *testing.T) {
	t.Parallel()
	c := sh(`cat; echo err >&2; exit 7`)
	c.Stdin = strings.NewReader("in")
	res, err := run.New(run.Config{}).Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s|%s|%d", res.Stdout, res.Stderr, res.Code); got != "in|err\n|7" {
		t.Errorf("got %q", got)
	}
}

func TestASignalIsAnExitCode(t *testing.T) {
	t.Parallel()
	res, err := run.New(run.Config{}).Run(t.Context(), sh(`kill -9 $$`))
	if err != nil || res.Code != 128+9 {
		t.Errorf("code %d, %v; want 137, nil", res.Code, err)
	}
}

func TestTheEnvironmentIsExactlyWhatWasGiven(t *testing.T) {
	t.Setenv("LEGER_TEST_INHERITED", "yes")
	for name, env := range map[string][]string{"none": nil, "one": {"A=1"}} {
		res, err := run.New(run.Config{}).Run(t.Context(), run.Command{Path: "/usr/bin/env", Env: env})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Fields(string(res.Stdout)), env; !slices.Equal(got, want) {
			t.Errorf("%s: the program saw %q, want %q", name, got, want)
		}
	}
}

func TestMinimalEnv(t *testing.T) {
	t.Parallel()
	have := map[string]string{"PATH": "/bin", "HOME": "/home/u", "LC_ALL": "de_DE", "SSH_AUTH_SOCK": "/s", "JWT_SECRET": "x"}
	lookup := func(n string) (string, bool) { v, ok := have[n]; return v, ok }
	got := run.MinimalEnv(lookup, "SSH_AUTH_SOCK")
	want := []string{"LC_ALL=C.UTF-8", "PATH=/bin", "HOME=/home/u", "SSH_AUTH_SOCK=/s"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAMissingProgramNamesThePackage(t *testing.T) {
	t.Parallel()
	r := run.New(run.Config{Path: t.TempDir()})
	for program, want := range map[string]string{"git": "apt install git", "journalctl": "apt install systemd", "/no/such/thing": "install thing"} {
		_, err := r.Run(t.Context(), run.Command{Path: program})
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeMissingPart || !strings.Contains(e.Hint, want) {
			t.Errorf("%s: %v, want missing_part with a hint on %q", program, err, want)
		}
	}
}

// A clone of a stranger's repository may be the working directory: "." in PATH
// must not make its files programs.
func TestRelativeDirectoriesInPathAreIgnored(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if _, err := run.New(run.Config{Path: ".:"}).LookPath("git"); !errors.Is(err, leger.ErrMissingPart) {
		t.Errorf("err = %v, want missing_part", err)
	}
	if got, err := run.New(run.Config{Path: ".:" + dir}).LookPath("git"); err != nil || got != filepath.Join(dir, "git") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTooMuchOutputStopsTheProgram(t *testing.T) {
	t.Parallel()
	for _, script := range []string{`while :; do echo 0123456789; done`, `while :; do echo 0123456789 >&2; done`} {
		c := sh(script)
		c.MaxOutput = 1000
		res, err := run.New(run.Config{}).Run(t.Context(), c)
		if !errors.Is(err, leger.ErrTooLarge) {
			t.Errorf("err = %v, want too_large", err)
		}
		if n := len(res.Stdout) + len(res.Stderr); n != 1000 {
			t.Errorf("kept %d bytes, want 1000", n)
		}
	}
}

func TestTheLimitHoldsForAWriterToo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := sh(`while :; do echo 0123456789; done`)
	c.Stdout, c.MaxOutput = &out, 55
	if _, err := run.New(run.Config{}).Run(t.Context(), c); !errors.Is(err, leger.ErrTooLarge) || out.Len() != 55 {
		t.Errorf("err = %v with %d bytes passed on, want too_large with 55", err, out.Len())
	}
}

// startFamily runs a script that starts a child and prints its pid, and gives
// both pids once they run.
func startFamily(ctx context.Context, t *testing.T, r *run.Runner, trap string) (p *run.Process, child int) {
	t.Helper()
	pr, pw := io.Pipe()
	c := sh(trap + `; sh -c "` + trap + `; echo \$\$; while :; do sleep 0.05; done" & wait; while :; do sleep 0.05; done`)
	c.Stdout = pw
	p, err := r.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := pr.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	child, err = strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	return p, child
}

// gone reports whether a process has ended; one that nobody has reaped yet
// counts as ended.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func TestCancellingEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	for name, trap := range map[string]string{"willing": "true", "ignores SIGTERM": "trap '' TERM"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			reason := errors.New("the reason")
			p, child := startFamily(ctx, t, run.New(run.Config{Grace: 200 * time.Millisecond}), trap)
			cancel(reason)
			_, err := p.Wait()
			if !errors.Is(err, leger.ErrInterrupted) || !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
				t.Errorf("err = %v, want interrupted with context.Canceled and the cause", err)
			}
			deadline := time.After(5 * time.Second)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for !gone(child) {
				select {
				case <-deadline:
					_ = syscall.Kill(child, syscall.SIGKILL)
					t.Fatal("the child survived the cancellation")
				case <-tick.C:
				}
			}
		})
	}
}

func TestADeadlineIsUnavailable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := run.New(run.Config{Grace: 100 * time.Millisecond}).Run(ctx, sh(`sleep 60`))
	if !errors.Is(err, leger.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want unavailable with context.DeadlineExceeded", err)
	}
}

func TestStopIsNoError(t *testing.T) {
	t.Parallel()
	p, _ := startFamily(t.Context(), t, run.New(run.Config{Grace: 200 * time.Millisecond}), "true")
	p.Stop()
	res, err := p.Wait()
	if err != nil || res.Code != 128+int(syscall.SIGTERM) {
		t.Errorf("code %d, %v; want 143, nil", res.Code, err)
	}
	p.Stop() // a second time, after the end: nothing happens
	if !gone(p.PID()) {
		t.Errorf("the process lives")
	}
}

// A canary in the arguments, the input and the environment must not come out
// anywhere: not in the log, not in an error.
func TestArgumentsAreNeverShown(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	var log bytes.Buffer
	r := run.New(run.Config{Grace: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for _, c := range []run.Command{
		{Path: "/bin/sh", Args: []string{"-c", "sleep 60", canary}, Env: []string{"X=" + canary, "PATH=/bin"}, Stdin: strings.NewReader(canary)},
		{Path: "/bin/sh", Args: []string{canary}},
		{Path: "no-such-program", Args: []string{canary}},
		{Path: "/bin/true", Dir: "/no/such/dir", Args: []string{canary}},
	} {
		_, err := r.Run(ctx, c)
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the error shows an argument: %v", err)
		}
	}
	if !strings.Contains(log.String(), "program ended") || strings.Contains(log.String(), canary) {
		t.Errorf("the log is empty or shows an argument:\n%s", log.String())
	}
}

func TestCommandStringShowsTheSubcommandOnly(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"git clone": {"clone", "--", "https://example.com/x"},
		"git":       {"-c", "a=b"},
		"git ":      nil,
	} {
		if got := (run.Command{Path: "/usr/bin/git", Args: args}).String(); got != strings.TrimSpace(want) {
			t.Errorf("%q: got %q", args, got)
		}
	}
}
