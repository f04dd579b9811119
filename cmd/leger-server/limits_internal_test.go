package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// patience is when a test gives up; what it waits for comes after milliseconds.
const patience = 20 * time.Second

// never is the limit that a test is not about.
func never() limits {
	return limits{
		header: time.Hour, read: time.Hour, write: time.Hour, idle: time.Hour, shutdown: time.Second,
		headerBytes: 32 << 10, streams: 8, connections: 1000, perNetwork: 1000,
	}
}

func addr(text string) net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text))
}

// TestGate: connections are counted together, by address and by /64 of IPv6; a proxy on this
// machine is nobody's address.
func TestGate(t *testing.T) {
	t.Parallel()
	l := never()
	l.connections, l.perNetwork = 6, 2
	var log strings.Builder
	now := time.Unix(0, 0)
	g := newGate(l, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	enter := func(peer net.Addr, want bool) (leave func()) {
		t.Helper()
		leave, ok := g.enter(peer)
		if ok != want {
			t.Errorf("%v enters: %t", peer, ok)
		}
		return leave
	}
	first := enter(addr("[2001:db8:1:2::1]:1"), true)
	enter(addr("[2001:db8:1:2::2]:1"), true)
	enter(addr("[2001:db8:1:2:ffff::3]:1"), false) // the same /64
	enter(addr("192.0.2.1:1"), true)
	enter(addr("192.0.2.1:2"), true)
	enter(addr("[::ffff:192.0.2.1]:3"), false) // written another way
	first()
	first() // twice is once
	enter(addr("[2001:db8:1:2::4]:1"), true)
	enter(addr("[2001:db8:1:2::5]:1"), false)
	last := enter(&net.UnixAddr{Name: "@", Net: "unix"}, true)
	enter(addr("127.0.0.1:1"), true)
	enter(addr("127.0.0.1:2"), false) // six of six
	enter(addr("203.0.113.1:1"), false)
	last()
	enter(addr("127.0.0.1:3"), true)
	if told := strings.Count(log.String(), "too many connections"); told != 1 {
		t.Errorf("told %d times within a minute:\n%s", told, log.String())
	}
	now = now.Add(tellEvery)
	enter(addr("127.0.0.1:4"), false)
	if told := strings.Count(log.String(), "too many connections"); told != 2 {
		t.Errorf("told %d times after a minute", told)
	}
}

// serveLimited serves handler with limits, over TLS or not, and gives the address.
func serveLimited(t *testing.T, l limits, secure bool, handler http.HandlerFunc) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	srv := l.server(handler, log)
	srv.ConnContext = withArrival
	if secure {
		other := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(other.Close)
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: other.TLS.Certificates}
	}
	serveAll(srv, []opened{{frontListener{ln, frontTCP, newGate(l, time.Now, log)}, secure}})
	t.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().String()
}

func dial(t *testing.T, where string) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// drip sends a byte at a time for as long as anybody takes them.
func drip(ctx context.Context, conn net.Conn) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
		}
	}
}

// awaitEnd reads until the server closes the connection.
func awaitEnd(t *testing.T, conn net.Conn) (answer string) {
	t.Helper()
	got, err := io.ReadAll(conn)
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // as net/http compares
		t.Fatalf("the server held the connection for %v; it answered %q", patience, got)
	}
	return string(got)
}

// TestSlowClients: whoever sends or reads drop by drop, or not at all, is cut off by the
// limit that is for it alone; all others are an hour here.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	header := func(l *limits) { l.header = short }
	read := func(l *limits) { l.read = short }
	for name, c := range map[string]struct {
		limit  func(*limits)
		sends  string
		drips  bool
		secure bool
	}{
		"says nothing":    {limit: header},
		"shakes no hands": {limit: header, secure: true},
		"a header drop by drop": {
			limit: header, drips: true, sends: "GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
		},
		"a body drop by drop": {
			limit: read, drips: true, sends: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n",
		},
		"a body that never arrives": {
			limit: read, sends: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		},
		"idle after a request": {
			limit: func(l *limits) { l.idle = short }, sends: "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := never()
			c.limit(&l)
			where := serveLimited(t, l, c.secure, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
			})
			conn := dial(t, where)
			if _, err := io.WriteString(conn, c.sends); err != nil {
				t.Fatal(err)
			}
			if c.drips {
				go drip(t.Context(), conn)
			}
			awaitEnd(t, conn)
		})
	}
}

// TestReaderThatDoesNotRead: an answer that nobody takes is not held for ever.
func TestReaderThatDoesNotRead(t *testing.T) {
	t.Parallel()
	l := never()
	l.write = time.Second // a TLS handshake has to be done within it, too
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls %t", secure), func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			where := serveLimited(t, l, secure, func(w http.ResponseWriter, _ *http.Request) {
				chunk := make([]byte, 1<<20)
				for {
					if _, err := w.Write(chunk); err != nil {
						close(ended)
						return
					}
				}
			})
			conn := dial(t, where)
			if secure {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			}
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(patience):
				t.Error("the handler still writes")
			}
		})
	}
}

// TestConnectionsOverTheLimit are closed; there is room once another one ended.
func TestConnectionsOverTheLimit(t *testing.T) {
	t.Parallel()
	l := never()
	l.connections = 2
	where := serveLimited(t, l, false, func(http.ResponseWriter, *http.Request) {})
	served := func(conn net.Conn) bool {
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err != nil {
			return false
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return false
		}
		return res.Body.Close() == nil
	}
	first, second := dial(t, where), dial(t, where)
	if !served(first) || !served(second) {
		t.Fatal("two of two are not served")
	}
	if served(dial(t, where)) {
		t.Error("the third of two is served")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); !served(dial(t, where)); {
		if time.Since(begun) > patience {
			t.Fatal("no room after one ended")
		}
	}
	if !served(second) {
		t.Error("the second was closed")
	}
}

// TestHeaderTooLarge: net/http answers by itself.
func TestHeaderTooLarge(t *testing.T) {
	t.Parallel()
	l := defaultLimits()
	where := serveLimited(t, l, false, func(http.ResponseWriter, *http.Request) {})
	for size, want := range map[int]int{
		l.headerBytes - 100: http.StatusOK,
		2 * l.headerBytes:   http.StatusRequestHeaderFieldsTooLarge,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+where, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("x", size))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("a header of %d bytes: %d, want %d", size, res.StatusCode, want)
		}
	}
}

// frame is one of HTTP/2 (RFC 9113, 4.1).
func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// readFrame gives the next frame's kind and payload.
func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(head)>>8)
	_, err = io.ReadFull(r, payload)
	return head[3], payload, err
}

// TestRapidReset: over HTTP/2 a client may have so many requests at once, and who takes
// them back to send more (CVE-2023-44487) is cut off.
func TestRapidReset(t *testing.T) {
	t.Parallel()
	const (
		headers, reset, settings, goAway = 1, 3, 4, 7
		maxStreams                       = 3  // of SETTINGS
		calm                             = 11 // ENHANCE_YOUR_CALM
	)
	l := never()
	running := make(chan struct{}, 100000)
	end := make(chan struct{})
	where := serveLimited(t, l, true, func(http.ResponseWriter, *http.Request) {
		running <- struct{}{}
		<-end
	})
	defer close(end)
	conn := tls.Client(dial(t, where), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	_, err := conn.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0)...))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		// GET https://x/, by indices of RFC 7541's table.
		request := []byte{0x82, 0x87, 0x84, 0x41, 0x01, 'x'}
		for id := uint32(1); id < 20000; id += 2 {
			b := frame(headers, 0x5, id, request...)
			b = append(b, frame(reset, 0, id, 0, 0, 0, 8)...)
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}()
	streams, last := -1, -1
	for last < 0 {
		kind, payload, err := readFrame(conn)
		if err != nil {
			break
		}
		switch kind {
		case settings:
			for ; len(payload) >= 6; payload = payload[6:] {
				if binary.BigEndian.Uint16(payload) == maxStreams {
					streams = int(binary.BigEndian.Uint32(payload[2:]))
				}
			}
		case goAway:
			last = int(binary.BigEndian.Uint32(payload[4:]))
		}
	}
	if streams != l.streams || last != calm {
		t.Errorf("%d requests at once, want %d; ends with %d, want %d", streams, l.streams, last, calm)
	}
	if n := len(running); n > l.streams {
		t.Errorf("%d handlers run at once", n)
	}
}

// TestLimitsAreDocumented: the table of docs/server.md has the defaults.
func TestLimitsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	l := defaultLimits()
	for what, value := range map[string]string{
		"a request's header": l.header.String(), "its body": l.read.String(), "taking the answer": l.write.String(),
		"between two requests": l.idle.String(), "requests that run when the server stops": l.shutdown.String(),
		"size of a header":                   fmt.Sprintf("%d KiB", l.headerBytes>>10),
		"requests at once on one connection": fmt.Sprint(l.streams),
		"connections":                        fmt.Sprint(l.connections), "connections of one address": fmt.Sprint(l.perNetwork),
		"wrong credentials of one address": fmt.Sprintf("%d a second, %d at once", refusalsPerSecond, 10*refusalsPerSecond),
	} {
		if row := fmt.Sprintf("| %s | %s |", what, value); !strings.Contains(string(text), row) {
			t.Errorf("docs/server.md has no row %s", row)
		}
	}
}
