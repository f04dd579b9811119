package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"leger.run/leger/internal/httpapi"
)

// limits are those of connections. Nothing that a client sends is larger than half a MiB,
// so whoever takes longer is stuck or means harm. docs/server.md lists them all.
type limits struct {
	header      time.Duration // until a request's header is there; a TLS handshake, too
	read        time.Duration // until its body is
	write       time.Duration // from its header until the answer is taken
	idle        time.Duration // between two requests
	shutdown    time.Duration // for requests that run when the server stops
	headerBytes int           // of one request; net/http takes a few KiB more
	streams     int           // requests at once on one connection of HTTP/2
	connections int           // at once
	perNetwork  int           // of them from one address, or /64 of IPv6
}

func defaultLimits() limits {
	return limits{
		header: 5 * time.Second, read: 30 * time.Second, write: time.Minute, idle: 2 * time.Minute,
		shutdown: 10 * time.Second, headerBytes: 32 << 10, streams: 64, connections: 1024, perNetwork: 128,
	}
}

// server makes the server that holds to the limits of one connection.
func (l limits) server(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, MaxHeaderBytes: l.headerBytes,
		ReadHeaderTimeout: l.header, ReadTimeout: l.read, WriteTimeout: l.write, IdleTimeout: l.idle,
		// HTTP/2 is spoken over TLS only. Who opens requests and takes them back is cut off
		// by net/http once four times as many wait as may run.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: l.streams, WriteByteTimeout: l.write},
		// "OPTIONS *" goes to the handler too, so that all answers have its headers.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// gate counts the connections of all listeners. One that is too many is closed at once: the
// others go on, and whoever was sent away finds room a moment later.
type gate struct {
	limits limits
	now    func() time.Time
	log    *slog.Logger

	mu   sync.Mutex
	open int
	from map[string]int
	told time.Time
}

// tellEvery is how often connections that were closed are logged: a flood of them must not
// become one of the log.
const tellEvery = time.Minute

func newGate(l limits, now func() time.Time, log *slog.Logger) *gate {
	return &gate{limits: l, now: now, log: log, from: map[string]int{}}
}

// enter counts a connection; leave must be called when it ends. It gives false for one too
// many.
func (g *gate) enter(peer net.Addr) (leave func(), ok bool) {
	key := origin(peer)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.limits.connections || (key != "" && g.from[key] >= g.limits.perNetwork) {
		if now := g.now(); now.Sub(g.told) >= tellEvery || now.Before(g.told) {
			g.told = now
			g.log.Warn("too many connections: closed one",
				slog.String("remote", peer.String()), slog.Int("open", g.open))
		}
		return nil, false
	}
	g.open++
	if key != "" {
		g.from[key]++
	}
	return sync.OnceFunc(func() { g.left(key) }), true
}

func (g *gate) left(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if key == "" {
		return
	}
	if g.from[key]--; g.from[key] == 0 {
		delete(g.from, key)
	}
}

// origin is whom a connection counts for; "" is a process of this machine, which may be a
// proxy that speaks for many.
func origin(peer net.Addr) string {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return ""
	}
	addr, ok := netip.AddrFromSlice(tcp.IP)
	if addr = addr.Unmap(); !ok || addr.IsLoopback() {
		return ""
	}
	return httpapi.Network(addr.String())
}
