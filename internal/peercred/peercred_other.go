//go:build !linux

package peercred

import (
	"errors"
	"net"
)

// UID refuses: only Linux is asked.
func UID(*net.UnixConn) (int, error) {
	return -1, errors.New("only Linux tells who is at the other end of a socket")
}
