//go:build linux

package peercred_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"leger.run/leger/internal/peercred"
)

// Who is expected is told everything, anybody else nothing.
func TestDial(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pc") // a socket's path holds 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	if _, err := peercred.Dial(t.Context(), socket, os.Geteuid()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody listens: %v", err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	conn, err := peercred.Dial(t.Context(), socket, os.Geteuid()+1, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	var stranger *peercred.StrangerError
	for _, uids := range [][]int{{os.Geteuid() + 1}, nil} {
		if _, err := peercred.Dial(t.Context(), socket, uids...); !errors.As(err, &stranger) || stranger.UID != os.Geteuid() || stranger.Socket != socket {
			t.Errorf("expected are %v: %v", uids, err)
		}
	}
}
