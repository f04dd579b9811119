package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/tailnet"
)

// address is one place to listen at.
type address struct {
	front front
	where string // HOST:PORT, the port alone on the tailnet, or a socket's path
}

// parseListen reads --listen: HOST:PORT, tailnet:PORT, unix:/path, or several of them
// with commas between.
func parseListen(text string) ([]address, error) {
	var list []address
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		if path, ok := strings.CutPrefix(one, "unix:"); ok {
			if !filepath.IsAbs(path) {
				return nil, leger.Invalid("listen", "the socket %q is not an absolute path, as in unix:/run/leger/server.sock", path)
			}
			list = append(list, address{frontSocket, path})
			continue
		}
		host, port, err := net.SplitHostPort(one)
		if err != nil {
			return nil, leger.Invalid("listen", "the listen address %q is not HOST:PORT, tailnet:PORT or unix:PATH", one)
		}
		if host != "tailnet" {
			list = append(list, address{frontTCP, one})
			continue
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, leger.Invalid("listen", "the port %q is not a number from 1 to 65535", port)
		}
		list = append(list, address{frontTailnet, port})
	}
	return list, nil
}

// opened is a listener, and whether it speaks TLS.
type opened struct {
	net.Listener
	tls bool
}

// listen opens every address. On the tailnet it speaks TLS where tailscaled gives a
// certificate for one of the node's names.
func (p program) listen(ctx context.Context, s settings, self tailnet.Self, g *gate) (all []opened, err error) {
	defer func() {
		if err != nil {
			for _, l := range all {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	var lc net.ListenConfig
	add := func(network, where string, f front, tls bool) error {
		l, err := lc.Listen(ctx, network, where)
		if err != nil {
			return leger.Wrap(leger.CodeInvalid, err, "listen on %s", where).WithHint("%s", listenHint(f))
		}
		all = append(all, opened{frontListener{l, f, g}, tls})
		return nil
	}
	for _, a := range s.listen {
		switch a.front {
		case frontTCP:
			err = add("tcp", a.where, a.front, false)
		case frontSocket:
			if err = removeDeadSocket(ctx, a.where); err == nil {
				err = add("unix", a.where, a.front, false)
			}
			if err == nil {
				err = closeToOthers(a.where)
			}
		case frontTailnet:
			err = onAny(self.Addrs, func(addr netip.Addr) error {
				return add("tcp", net.JoinHostPort(addr.String(), a.where), a.front, self.Certified())
			})
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// onAny opens what it can of a node's addresses: a machine may have IPv6 switched off.
// The error is the first one, when none could be opened.
func onAny(addrs []netip.Addr, open func(netip.Addr) error) (err error) {
	some := false
	for _, addr := range addrs {
		switch e := open(addr); {
		case e == nil:
			some = true
		case err == nil:
			err = e
		}
	}
	if some {
		return nil
	}
	return err
}

func listenHint(f front) string {
	switch f {
	case frontTailnet:
		return "is tailscaled in userspace networking? then: --listen unix:PATH, and tailscale serve --bg unix:PATH"
	case frontSocket:
		return "the directory of the socket must be there, and this user must be able to write to it (systemd: RuntimeDirectory=)"
	case frontTCP:
	}
	return "is another leger-server running? choose another address with --listen"
}

// removeDeadSocket removes a socket that nobody listens on, which a server leaves that
// was killed. It removes nothing else.
func removeDeadSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return leger.WrapFile(leger.CodeInvalid, err, "look at %s", path)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return leger.Invalid("listen", "%s is there, and is not a socket", path).WithHint("choose another path")
	}
	var d net.Dialer
	if conn, err := d.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return leger.Invalid("listen", "something listens on %s already", path).WithHint("is another leger-server running?")
	}
	if err := os.Remove(path); err != nil {
		return leger.WrapFile(leger.CodeInvalid, err, "remove a former %s", path)
	}
	return nil
}

func closeToOthers(path string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return leger.WrapFile(leger.CodeInvalid, err, "close %s to others", path)
	}
	return nil
}

// serveAll serves every listener until one fails.
func serveAll(srv *http.Server, listeners []opened) <-chan error {
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			if l.tls {
				failed <- srv.ServeTLS(l, "", "")
				return
			}
			failed <- srv.Serve(l)
		}()
	}
	return failed
}

// certificateFor is how long a certificate is used before tailscaled is asked again: it
// keeps it, and renews it a month before its end.
const certificateFor = time.Hour

// certificates asks tailscaled for the certificate of the node's name.
type certificates struct {
	node *tailnet.Node
	name string
	now  func() time.Time
	log  *slog.Logger

	mu    sync.Mutex
	cert  *tls.Certificate
	asked time.Time
}

// get is tls.Config.GetCertificate. A certificate that cannot be renewed is used on.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.cert != nil && now.Sub(c.asked) < certificateFor && !now.Before(c.asked) {
		return c.cert, nil
	}
	cert, err := c.node.Certificate(hello.Context(), c.name)
	if err != nil {
		c.log.Warn("no certificate from tailscaled", slog.Any("error", err))
		if c.cert == nil {
			return nil, err
		}
		cert = c.cert
	}
	c.cert, c.asked = cert, now
	return cert, nil
}
