package localvault_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

func TestSocketIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	for path, want := range map[string]os.FileMode{f.socket: 0o600, filepath.Dir(f.socket): 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
}

// nobody runs this test binary as another user, who may reach every file it
// needs: what refuses them is legerd, not the file system.
func nobody(t *testing.T, env ...string) string {
	t.Helper()
	cmd := asNobody(t, "call", env...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, talk.String())
	}
	return string(out)
}

// asNobody is this program in a role, as another user.
func asNobody(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test runs a process as another user: run it as root")
	}
	program := filepath.Join(worldDir(t), "test")
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()                                              // only read
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755) // G302: another user runs it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program) // G204: a copy of this very program
	cmd.Dir = "/"
	cmd.Env = append([]string{"LOCALVAULT_TEST_ROLE=" + role}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func worldDir(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil { // G302: another user goes through it
		t.Fatal(err)
	}
	return dir
}

func TestAnotherUserIsRefusedOnTheSocket(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	// Suppose that the permissions have been loosened.
	for path, mode := range map[string]os.FileMode{filepath.Dir(filepath.Dir(f.socket)): 0o755, filepath.Dir(f.socket): 0o755, f.socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := nobody(t, "SOCKET="+f.socket); got != "403" {
		t.Errorf("another user got %q", got)
	}
	if _, err := f.client.List(t.Context(), user(t, 1)); err != nil {
		t.Errorf("the owner: %v", err)
	}
}

// Who could write to the socket's directory put a socket of their own there, got the
// values, and the sync "succeeded".
func TestTheClientTellsAnotherUserNothing(t *testing.T) {
	t.Parallel()
	dir := worldDir(t)
	if err := os.Chmod(dir, 0o777); err != nil { // G302: that is the point
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	impostor := asNobody(t, "impostor", "SOCKET="+socket)
	out, err := impostor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := impostor.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "listening\n" {
		t.Fatalf("the impostor says %q (%v)", line, err)
	}
	client := localvault.NewClient(localvault.ClientConfig{Socket: socket})
	err = client.CreateVersion(t.Context(), user(t, 1), name(t, "a"), 1, leger.NewPlaintext([]byte("canary")))
	if e := codeOf(t, err, leger.ErrForbidden); !strings.Contains(e.Message, "uid 65534") || !strings.Contains(e.Hint, "LEGERD_SOCKET") {
		t.Errorf("%v (hint %q)", err, e.Hint)
	}
	if line, _ := lines.ReadString('\n'); line != "got \"\" (<nil>)\n" {
		t.Errorf("the impostor %s", line)
	}
	if err := impostor.Wait(); err != nil {
		t.Error(err)
	}
}

// Everybody on the machine may connect to a loopback port, so it asks the kernel
// whose connection it is.
func TestAnotherUserIsRefusedOnTheLoopbackPort(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	addr := serveLoopback(t, f.store)
	if got := nobody(t, "ADDR="+addr); got != "403" {
		t.Errorf("another user got %s", got)
	}
	// The same request of the owner's gets as far as its missing body type.
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "LOCALVAULT_TEST_ROLE=call", "ADDR="+addr)
	out, err := cmd.Output()
	if err != nil || string(out) != strconv.Itoa(400) {
		t.Errorf("the owner got %s, %v", out, err)
	}
}

func TestOnlyLoopbackAddresses(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:80", ":80", "localhost:80", "127.0.0.1", "", "[::ffff:192.0.2.1]:80"} {
		ln, err := localvault.ListenLoopback(t.Context(), addr)
		if err == nil {
			_ = ln.Close()
		}
		wantCode(t, err, leger.ErrInvalid)
	}
	for _, addr := range []string{"127.0.0.1:0", "127.1.2.3:0"} {
		ln, err := localvault.ListenLoopback(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
	}
}

func TestSocketThatNobodyServesIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	// A process that was killed leaves its socket behind.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(fd)
	ln, err := localvault.ListenUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // the test ends
	_, err = localvault.ListenUnix(t.Context(), path)
	wantCode(t, err, leger.ErrConflict)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of the living was removed: %v", err)
	}
}

func TestFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := writeFile(t, filepath.Join(shortDir(t), "s"), "precious", 0o600)
	_, err := localvault.ListenUnix(t.Context(), path)
	wantCode(t, err, leger.ErrUnavailable)
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file is gone: %q %v", b, err)
	}
}

// The kernel says "invalid argument" to a path over 107 bytes, which was passed on
// as "the connection to legerd broke: try again".
func TestSocketPathThatIsTooLong(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	for n, ok := range map[int]bool{107: true, 108: false} {
		path := filepath.Join(dir, strings.Repeat("s", n-len(dir)-1))
		ln, err := localvault.ListenUnix(t.Context(), path)
		if ok {
			if err != nil {
				t.Errorf("%d bytes: %v", n, err)
				continue
			}
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
			_, err = localvault.NewClient(localvault.ClientConfig{Socket: path}).Status(t.Context())
			wantCode(t, err, leger.ErrMissingPart)
			continue
		}
		for _, err := range []error{err, clientError(t, path)} {
			if e := codeOf(t, err, leger.ErrInvalid); !strings.Contains(e.Message, "108 bytes") || !strings.Contains(e.Hint, "LEGERD_SOCKET") {
				t.Errorf("%d bytes: %v, hint %q", n, e, e.Hint)
			}
		}
	}
}

func clientError(t *testing.T, path string) error {
	t.Helper()
	_, err := localvault.NewClient(localvault.ClientConfig{Socket: path}).Status(t.Context())
	return err
}
