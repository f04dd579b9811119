//go:build linux

package podman_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
)

// TestMain listens on a socket and prints what it is told, where a test asks for that.
func TestMain(m *testing.M) {
	socket := os.Getenv("PODMAN_TEST_LISTEN")
	if socket == "" {
		os.Exit(m.Run())
	}
	ln, err := net.Listen("unix", socket)
	if err == nil {
		err = os.Chmod(socket, 0o666)
	}
	fmt.Println("listening", err)
	if conn, err := ln.Accept(); err == nil {
		sent, _ := io.ReadAll(conn)
		fmt.Printf("told %q\n", sent)
	}
}

// Values go to whoever listens on Podman's socket: to nobody but this user and root.
func TestAnotherUsersSocketIsNotPodmans(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root, to run a process as another user: run it as root or in a user namespace (unshare -rm)")
	}
	dir, err := os.MkdirTemp("", "pm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, program := filepath.Join(dir, "s"), filepath.Join(dir, "test")
	// By another process: one that this one forks meanwhile would have the file open for
	// writing, and nobody can run it then.
	if out, err := exec.CommandContext(t.Context(), "install", "-m", "755", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), program)
	other.Dir, other.Env = "/", []string{"PODMAN_TEST_LISTEN=" + socket}
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "listening <nil>\n" {
		t.Fatalf("%q, %v", line, err)
	}
	err = client(t, podman.Config{Socket: socket}).CreateSecret(t.Context(), name(t, "a"), text(canary), nil, false)
	wantCode(t, err, leger.ErrForbidden)
	if !strings.Contains(err.Error(), "uid 65534") {
		t.Error(err)
	}
	if rest, _ := io.ReadAll(lines); string(rest) != "told \"\"\n" {
		t.Errorf("the other user was %s", rest)
	}
	if err := other.Wait(); err != nil {
		t.Error(err)
	}
}
