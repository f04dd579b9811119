package cli_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"leger.run/leger/internal/cli"
)

// mount gives a directory on a disk of its own, of 64 KB.
func mount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Fatalf("mount a small tmpfs: %v; this test needs root, run it as root or in a user namespace (unshare -rm)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// A full disk used to end with 2, "wrong usage", a read-only one too: scripts took
// their own command line for the fault. Both are 1, say what is wrong and what to
// do, and leave what was there.
func TestADiskThatIsFullOrReadOnlyIsNotWrongUsage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*testing.T, string)
		says  string
	}{
		"full": {fill, "no space left on device"},
		"read-only": {func(t *testing.T, dir string) {
			t.Helper()
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}, "read-only file system"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, home, disk := newRig(t), t.TempDir(), mount(t)
			for _, dir := range []string{".config", ".local"} {
				if err := errors.Join(
					os.Mkdir(filepath.Join(disk, dir), 0o700),
					os.Symlink(filepath.Join(disk, dir), filepath.Join(home, dir)),
				); err != nil {
					t.Fatal(err)
				}
			}
			r.must(home, "", "config", "set", "podman", "/one/podman.sock")
			r.must(home, "", "auth", "login", "--no-browser")
			c.spoil(t, disk)
			for _, args := range [][]string{
				{"config", "set", "podman", "/two/podman.sock"},
				{"auth", "login", "--no-browser", "--local-identity", "another@example.com"},
			} {
				s := r.runIn(t.Context(), home, strings.NewReader(""), args...)
				if s.code != 1 || !strings.Contains(s.stderr, c.says) || !strings.Contains(s.stderr, "hint: ") {
					t.Errorf("leger %q ended with %d: %s", args, s.code, s.stderr)
				}
			}
			if got := r.must(home, "", "config", "get", "podman").stdout; got != "/one/podman.sock\n" {
				t.Errorf("the settings say %q", got)
			}
			r.must(home, "", "secrets", "list")
		})
	}
}

// Standard output on a full disk used to end with 8, "server unreachable".
func TestAFullStdoutIsNotAnUnreachableServer(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"help", "exit-codes"}, {"completion", "bash"}, {"config", "list"}} {
		var stderr strings.Builder
		code := cli.Main(context.Background(), cli.Env{
			Args: args, Stdin: strings.NewReader(""), Stdout: full, Stderr: &stderr,
			LookupEnv: func(name string) (string, bool) { return map[string]string{"HOME": t.TempDir()}[name], name == "HOME" },
		})
		if code != 1 || !strings.Contains(stderr.String(), "write to standard output: no space left on device") {
			t.Errorf("leger %q ended with %d: %s", args, code, stderr.String())
		}
	}
}
