package peercred

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// UID gives the user id of the process that made the connection, or that listens on it.
func UID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("reach the socket: %w", err)
	}
	uid := -1
	var credErr error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr == nil {
			uid = int(cred.Uid)
		}
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return -1, fmt.Errorf("ask who is at the other end: %w", err)
	}
	return uid, nil
}
