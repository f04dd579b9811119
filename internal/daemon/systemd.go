package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"leger.run/leger"
)

// firstFD is where systemd puts the sockets it hands over (sd_listen_fds(3)).
const firstFD = 3

// inherited takes over the sockets that systemd listens on for us, when it
// started us: LISTEN_PID names this process and LISTEN_FDS says how many.
func inherited(lookup func(string) (string, bool)) ([]net.Listener, error) {
	pid, _ := lookup("LISTEN_PID")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	text, _ := lookup("LISTEN_FDS")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 16 {
		return nil, leger.Invalid("LISTEN_FDS", "%.20q is not a number of sockets", text)
	}
	var all []net.Listener
	for fd := firstFD; fd < firstFD+n; fd++ {
		// What Podman inherits from us it must not answer on.
		unix.CloseOnExec(fd)
		file := os.NewFile(uintptr(fd), "socket from systemd")
		ln, err := net.FileListener(file) // a copy
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return nil, leger.Wrap(leger.CodeInternal, err, "take over socket %d from systemd", fd)
		}
		if _, ok := ln.(*net.UnixListener); !ok {
			return nil, leger.Invalid("LISTEN_FDS", "systemd hands over %s: legerd takes unix sockets alone", ln.Addr()).
				WithHint("in legerd.socket: ListenStream=%%t/leger/legerd.sock; for setec's tools use: legerd --listen")
		}
		all = append(all, ln)
	}
	return all, nil
}

// notify tells the service manager something (sd_notify(3)). socket is
// $NOTIFY_SOCKET; without one there is nobody to tell.
func notify(ctx context.Context, socket string, lines ...string) error {
	if socket == "" {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("reach the service manager: %w", err)
	}
	defer conn.Close() // a datagram is sent or it is not
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
