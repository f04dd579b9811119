package localvault

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"leger.run/leger/internal/peercred"
)

// peerUID tells whose process is at the other end; -1 when it cannot be known.
func peerUID(conn net.Conn) (int, error) {
	switch c := conn.(type) {
	case *net.UnixConn:
		return peercred.UID(c)
	case *net.TCPConn:
		return tcpPeerUID(c)
	default:
		return -1, fmt.Errorf("no way to tell who is behind a %T", conn)
	}
}

// tcpPeerUID looks for the other end among the kernel's connections of this
// network namespace: ours is its remote side.
func tcpPeerUID(conn *net.TCPConn) (int, error) {
	theirs, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return -1, fmt.Errorf("read the caller's address: %w", err)
	}
	ours, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return -1, fmt.Errorf("read our address: %w", err)
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table) //nolint:gosec // G304: one of the two names above
		if err != nil {
			return -1, fmt.Errorf("read the table of connections: %w", err)
		}
		if uid, ok := findConnection(text, theirs, ours); ok {
			return uid, nil
		}
	}
	return -1, fmt.Errorf("the caller's connection is not in the kernel's table")
}
