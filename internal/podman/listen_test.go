package podman_test

import (
	"net"
	"testing"
)

// listen accepts on a socket and never answers.
func listen(t testing.TB, socket string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
}
