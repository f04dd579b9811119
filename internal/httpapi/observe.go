package httpapi

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// observation is what one request's log line will say. Only the request's own
// goroutine writes it.
type observation struct {
	id     string
	user   leger.UserID
	err    error
	status int
	bytes  int64
}

type observationKey struct{}

func observed(ctx context.Context) *observation {
	if o, ok := ctx.Value(observationKey{}).(*observation); ok {
		return o
	}
	return &observation{}
}

func requestID(ctx context.Context) string         { return observed(ctx).id }
func noteError(ctx context.Context, err error)     { observed(ctx).err = err }
func noteUser(ctx context.Context, u leger.UserID) { observed(ctx).user = u }

// recorder notes status and size for the log line.
type recorder struct {
	http.ResponseWriter
	o *observation
}

func (r recorder) WriteHeader(status int) {
	if r.o.status == 0 {
		r.o.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r recorder) Write(b []byte) (int, error) {
	if r.o.status == 0 {
		r.o.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.o.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the real writer.
func (r recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (a *API) observe(w http.ResponseWriter, r *http.Request, next http.Handler) {
	began := a.Now()
	o := &observation{id: a.newRequestID()}
	r = r.WithContext(context.WithValue(r.Context(), observationKey{}, o))
	w.Header().Set(wire.HeaderRequestID, o.id)
	for name, value := range a.secure {
		w.Header().Set(name, value)
	}
	rec := recorder{w, o}
	defer func() { //nolint:contextcheck // the request carries the context
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
				panic(p)
			}
			// The stack, but not the panic's value, which could hold anything.
			err := leger.Wrap(leger.CodeInternal, fmt.Errorf("panic of type %T", p), "something went wrong on the server")
			a.Log.ErrorContext(r.Context(), "panic", slog.String("request_id", o.id), slog.String("stack", string(debug.Stack())))
			begun := o.status != 0
			if !begun {
				a.fail(rec, r, err)
			}
			o.err = err
			if begun { // cut the connection, or half an answer would look like a whole one
				defer panic(http.ErrAbortHandler)
			}
		}
		a.logRequest(r, o, a.Now().Sub(began).Microseconds())
	}()
	next.ServeHTTP(rec, r)
}

// logRequest writes the one line about a request. The query is left out: a
// sign-in link's token is in it.
func (a *API) logRequest(r *http.Request, o *observation, micros int64) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("request_id", o.id),
		slog.String("method", cut(r.Method, 16)),
		slog.String("path", cut(r.URL.EscapedPath(), 256)),
		slog.Int("status", o.status),
		slog.Int64("bytes", o.bytes),
		slog.Int64("us", micros),
		slog.String("remote", clientAddr(r)),
	}
	if !o.user.IsZero() {
		attrs = append(attrs, slog.String("user", o.user.String()))
	}
	if o.err != nil {
		attrs = append(attrs, slog.String("code", string(leger.CodeOf(o.err))), slog.String("error", o.err.Error()))
		if o.status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	a.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

func (a *API) newRequestID() string {
	b := make([]byte, 8)
	if _, err := io.ReadFull(a.Random, b); err != nil {
		return "unknown"
	}
	return hex.EncodeToString(b)
}

// Network is whom to hold responsible for an address: one customer of a provider
// has at least a /64 of public IPv6 to choose from (RFC 6177), so those are one. In
// private networks, such as a tailnet, each address is a machine's.
func Network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil || !ip.Is6() || !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return addr
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.String()
}

// clientAddr is the address a request came from, in the one spelling of it that there
// is. A proxy on this machine (tailscale serve, Caddy) is believed about whom it speaks
// for; nobody else is.
func clientAddr(r *http.Request) string {
	addr, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return cut(r.RemoteAddr, 64)
	}
	if !addr.IsLoopback() {
		return addr.String()
	}
	// The proxy's word is the last one, whether it adds to the line it was sent or
	// writes another line below, as HAProxy does.
	forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	if via, ok := parseAddr(strings.TrimSpace(forwarded[strings.LastIndexByte(forwarded, ',')+1:])); ok {
		return via.String()
	}
	return addr.String()
}

// parseAddr reads an address with or without a port. One address is one, however it is
// written: without the zone, which may be any text, and IPv4 as such (RFC 4291, 2.5.5.2).
// Otherwise who is to be slowed down would write it another way each time.
func parseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = with.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
