//go:build js && wasm

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/wire"
)

// requestHead is a request without its body, as the shim tells it.
type requestHead struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Remote  string      `json:"remote"` // CF-Connecting-IP
	Headers [][2]string `json:"headers"`
}

func newRequest(ctx context.Context, head string, body []byte) (*http.Request, error) {
	var in requestHead
	if err := json.Unmarshal([]byte(head), &in); err != nil {
		return nil, fmt.Errorf("read the request's head: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, in.Method, in.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, h := range in.Headers {
		r.Header.Add(h[0], h[1])
	}
	r.RemoteAddr = net.JoinHostPort(in.Remote, "0")
	r.RequestURI = r.URL.RequestURI()
	if r.URL.Scheme == "https" {
		r.TLS = &tls.ConnectionState{}
	}
	// As a server sees it: the target is a path.
	r.URL.Scheme, r.URL.Host = "", ""
	return r, nil
}

// answer collects a response; the shim sends it when it is whole.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// headerJSON lists the headers in pairs: one name may come twice (Set-Cookie).
func (a *answer) headerJSON() string {
	pairs := make([][2]string, 0, len(a.header))
	for name, values := range a.header {
		for _, v := range values {
			pairs = append(pairs, [2]string{name, v})
		}
	}
	text, err := json.Marshal(pairs)
	if err != nil {
		return "[]"
	}
	return string(text)
}

// broken is the answer to a request whose handler did not come to an end.
func broken() *answer {
	body, err := json.Marshal(wire.Envelope[struct{}]{Error: &wire.Error{
		Code: leger.CodeInternal, Message: "something went wrong on the server",
		Hint: "the Worker's log has the cause",
	}})
	if err != nil {
		body = nil
	}
	head := http.Header{"Content-Type": {wire.ContentType}, "Cache-Control": {"no-store"}}
	secure(head)
	return &answer{header: head, status: http.StatusInternalServerError, body: body}
}

// secure sets the headers of every answer on one that package httpapi did not write.
func secure(head http.Header) {
	for name, value := range httpapi.SecurityHeaders(true) {
		head.Set(name, value)
	}
}
