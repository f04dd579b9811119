// Package peercred tells whose process is at the other end of a unix socket, as the
// kernel knows it: the mode of a socket's file is not enough, since a directory that
// others may write to lets them put a socket of their own there.
package peercred

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
)

// StrangerError says that a process of another user than those expected listens.
type StrangerError struct {
	Socket string
	UID    int
}

func (e *StrangerError) Error() string {
	return fmt.Sprintf("a process of another user (uid %d) listens on %s", e.UID, e.Socket)
}

// Dial connects to a unix socket, and makes sure that a process of one of the users
// listens there before anything is sent. *StrangerError when it is another's.
func Dial(ctx context.Context, socket string, uids ...int) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if err := check(conn, socket, uids); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func check(conn net.Conn, socket string, uids []int) error {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%T is no connection of a unix socket", conn)
	}
	uid, err := UID(c)
	if err == nil && !slices.Contains(uids, uid) {
		err = &StrangerError{Socket: socket, UID: uid}
	}
	return err
}
