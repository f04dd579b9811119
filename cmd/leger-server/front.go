package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/peercred"
	"leger.run/leger/internal/tailnet"
)

// front is how a request reached the server, and so what vouches for the address that
// it comes from.
type front int

const (
	frontTCP     front = iota // anybody who can reach the address; a proxy on loopback may speak for others
	frontTailnet              // an address of this machine's tailnet node: the peer is who calls
	frontSocket               // a unix socket: tailscaled speaks for who calls, if it is tailscaled
)

// frontListener marks the connections of a listener.
type frontListener struct {
	net.Listener
	front front
	gate  *gate
}

// Accept gives a connection that knows its front, and that there is room for.
func (l frontListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave, ok := l.gate.enter(c.RemoteAddr()); ok {
			return &frontConn{c, l.front, leave}, nil
		}
		_ = c.Close()
	}
}

type frontConn struct {
	net.Conn
	front front
	leave func()
}

// Close makes room for another connection.
func (c *frontConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// arrival is what is known of a request's connection.
type arrival struct {
	front front
	uid   int // of the process at the other end of a unix socket; -1: not known
}

type arrivalKey struct{}

// withArrival notes how a connection came.
func withArrival(ctx context.Context, conn net.Conn) context.Context {
	a := arrival{uid: -1}
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if f, ok := conn.(*frontConn); ok {
		a.front = f.front
		if u, ok := f.Conn.(*net.UnixConn); ok {
			if uid, err := peercred.UID(u); err == nil {
				a.uid = uid
			}
		}
	}
	return context.WithValue(ctx, arrivalKey{}, a)
}

// doorman settles, before anything else looks at a request, which address it comes
// from, and tells of whom Tailscale can be asked.
type doorman struct {
	node  *tailnet.Node
	peers *tailnet.Directory
	// trustLoopback: whatever connects from loopback is believed about whom it speaks
	// for (LEGER_TRUST_LOOPBACK_PROXY).
	trustLoopback bool
}

type vouchedKey struct{}

// vouched is the address that something trustworthy says a request comes from; the zero
// address for none.
func vouched(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(vouchedKey{}).(netip.Addr)
	return addr
}

// at the door every request gets the address it comes from as its RemoteAddr.
func (d doorman) at(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, _ := r.Context().Value(arrivalKey{}).(arrival)
		remote, _ := netip.ParseAddrPort(r.RemoteAddr)
		addr := remote.Addr().Unmap()
		var voucher netip.Addr
		switch {
		case a.front == frontTailnet:
			voucher = addr
		case a.front == frontSocket && d.isTailscaled(r.Context(), a.uid):
			voucher = forwardedFor(r)
			r.RemoteAddr = netip.AddrPortFrom(voucher, 0).String()
			r.Header.Del("X-Forwarded-For") // it is the RemoteAddr now
			// To a socket tailscale serve says "localhost", and the name that was asked for
			// beside it.
			if host := r.Header.Get("X-Forwarded-Host"); host != "" {
				r.Host = host
			}
		case a.front == frontSocket: // another proxy of this machine, as one on loopback
			r.RemoteAddr = "127.0.0.1:0"
		case addr.IsLoopback() && d.trustLoopback:
			voucher = forwardedFor(r)
		}
		// What Tailscale Funnel lets in comes from the internet (tailscale.com/kb/1223).
		if r.Header.Get("Tailscale-Funnel-Request") != "" {
			voucher = netip.Addr{}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), vouchedKey{}, voucher)))
	})
}

// forwardedFor is the address that the nearest proxy names: the last one.
func forwardedFor(r *http.Request) netip.Addr {
	all := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	addr, err := netip.ParseAddr(strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:]))
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// isTailscaled reports whether a process may speak for others on a unix socket: root's
// may do anything anyway, and tailscaled's user is who listens on its socket.
func (d doorman) isTailscaled(ctx context.Context, uid int) bool {
	if uid == 0 {
		return true
	}
	own, err := d.node.UID(ctx)
	return err == nil && uid == own && uid > 0
}

// whoIs asks Tailscale who sent a request.
func (d doorman) whoIs(r *http.Request) (leger.Peer, error) {
	addr := vouched(r.Context())
	if !addr.IsValid() {
		return leger.Peer{}, leger.Errorf(leger.CodeNotFound, "nothing vouches for the address that this request comes from")
	}
	return d.peers.WhoIs(r.Context(), addr)
}

// warnOfTrust: at every start, since any program of this machine can now be anybody.
func warnOfTrust(log *slog.Logger, s settings) {
	if s.trustLoopback {
		log.Warn("LEGER_TRUST_LOOPBACK_PROXY is set: any program on this machine can sign in as anybody of the tailnet; " +
			"--listen unix:PATH with tailscale serve does without")
	}
}
