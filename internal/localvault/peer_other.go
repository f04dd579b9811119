//go:build !linux

package localvault

import (
	"errors"
	"net"
)

// peerUID refuses: the daemon is for Linux. The client is for everywhere.
func peerUID(net.Conn) (int, error) {
	return -1, errors.New("who is calling can be told on Linux alone")
}
