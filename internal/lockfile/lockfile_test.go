package lockfile_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger/internal/lockfile"
)

// TestMain takes a lock and keeps it until stdin ends, where a test asks for that.
func TestMain(m *testing.M) {
	path := os.Getenv("LOCKFILE_TEST_PATH")
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := lockfile.Try(path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// hold starts a process that holds the lock; end kills it.
func hold(t *testing.T, path string) (pid int, end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "LOCKFILE_TEST_PATH="+path)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q (%v)", line, err)
	}
	return cmd.Process.Pid, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// A holder that is killed gives the lock back, and until then is named.
func TestTry(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	pid, end := hold(t, path)
	defer end()
	_, err := lockfile.Try(path)
	var held *lockfile.HeldError
	if want := fmt.Sprintf("process %d (lockfile.test", pid); !errors.As(err, &held) || !strings.HasPrefix(held.Holder, want) {
		t.Fatalf("the error is %v; want one that names %q", err, want)
	}
	end()
	l, err := lockfile.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockfile.Try(path); !errors.As(err, &held) {
		t.Errorf("a second lock of this process gives %v; want it refused", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if l, err = lockfile.Try(path); err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	pid, end := hold(t, path)
	defer end()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lockfile.Wait(ctx, path, func(string) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was given up gives %v", err)
	}
	told := 0
	l, err := lockfile.Wait(t.Context(), path, func(holder string) {
		told++
		if !strings.HasPrefix(holder, fmt.Sprintf("process %d (", pid)) {
			t.Errorf("waits for %q; want process %d", holder, pid)
		}
		end()
	})
	if err != nil || told != 1 {
		t.Fatalf("told %d times (%v); want once, and the lock", told, err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestAnUnknownHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	l, err := lockfile.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Release() }()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var held *lockfile.HeldError
	if _, err := lockfile.Try(path); !errors.As(err, &held) || held.Holder != "another process" {
		t.Errorf("the error is %v; want another process", err)
	}
	if _, err := lockfile.Try(filepath.Join(path, "below")); err == nil || errors.As(err, &held) {
		t.Errorf("a place that cannot be: %v", err)
	}
}

// A lock file that is removed while it is held let a second process in: it made the
// file anew. The directory stays locked.
func TestARemovedLockFileLetsNobodyIn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	l, err := lockfile.TryDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var held *lockfile.HeldError
	if _, err := lockfile.TryDir(path); !errors.As(err, &held) || !strings.HasPrefix(held.Holder, fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("while it is held: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := lockfile.TryDir(path); !errors.As(err, &held) {
		t.Errorf("once the file is removed: %v; want it refused", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if l, err = lockfile.TryDir(path); err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := lockfile.TryDir(filepath.Join(path, "below")); err == nil || errors.As(err, &held) {
		t.Errorf("a place that cannot be: %v", err)
	}
}

// Whoever waits has the file open. When that is removed before the holder ends, the
// lock it gets is one on nothing, beside that of whoever makes the file anew.
func TestALockOnARemovedFileIsNone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	_, end := hold(t, path)
	defer end()
	l, err := lockfile.Wait(t.Context(), path, func(string) {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		end()
	})
	if err != nil {
		t.Fatal(err)
	}
	var held *lockfile.HeldError
	if _, err := lockfile.Try(path); !errors.As(err, &held) {
		t.Errorf("beside the one who waited: %v; want it refused", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}
