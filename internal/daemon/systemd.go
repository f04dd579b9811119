package daemon

import (
	"net"

	"github.com/coreos/go-systemd/v22/activation"

	"leger.run/leger"
)

// inherited takes over the sockets that systemd listens on for us, when it started
// us (sd_listen_fds(3)).
func inherited() ([]net.Listener, error) {
	var all []net.Listener
	// Listeners leaves out the errors and what is no listener: only Files tells.
	for _, file := range activation.Files(true) {
		ln, err := net.FileListener(file) // a copy
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return nil, leger.Wrap(leger.CodeInternal, err, "take over %s from systemd", file.Name())
		}
		if _, ok := ln.(*net.UnixListener); !ok {
			return nil, leger.Invalid("LISTEN_FDS", "systemd hands over %s: legerd takes unix sockets alone", ln.Addr()).
				WithHint("in legerd.socket: ListenStream=%%t/leger/legerd.sock; for setec's tools use: legerd --listen")
		}
		all = append(all, ln)
	}
	return all, nil
}
