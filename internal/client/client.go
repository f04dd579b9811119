// Package client speaks Leger's HTTP API. Every method gives back the same
// *leger.Error that the server had, so that errors.Is holds across the wire;
// a server that cannot be reached, or that is not Leger, is CodeUnreachable.
//
// It keeps no state, retries nothing and writes nothing down.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// maxAnswer bounds what is read of an answer: 1,000 secrets of 64 KiB, escaped.
const maxAnswer = 512 << 20

// Config says where the server is and who asks.
type Config struct {
	// Server is the base URL, e.g. https://leger.example.com. https, or http for
	// loopback addresses and *.ts.net.
	Server string
	// Token is the bearer token; empty for none.
	Token string
	// Sign, when not nil, makes the token of each request instead.
	Sign func() (string, error)
	// HTTP does the requests; nil uses one with a 30 s limit and no redirects.
	HTTP *http.Client
	// UserAgent is sent along, e.g. "leger/0.1.0".
	UserAgent string
}

// Client calls one server as one user. Safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	sign  func() (string, error)
	http  *http.Client
	agent string
}

// New checks the server's address: CodeInvalid, field "server", when a token
// must not be sent there.
func New(c Config) (*Client, error) {
	if c.Server == "" {
		return nil, leger.Invalid("server", "no server is set on this machine").
			WithHint("leger config set server https://…")
	}
	base, err := parseServer(c.Server)
	if err != nil {
		return nil, err
	}
	if base.Scheme == "http" && !safeWithoutTLS(base.Hostname()) {
		return nil, leger.Invalid("server", "the server address %q is plain http: anyone on the way could read your secrets", c.Server).
			WithHint("use https://, or put the server on your tailnet (*.ts.net)")
	}
	hc := c.HTTP
	if hc == nil {
		hc = &http.Client{Timeout: 30 * time.Second, Transport: ownTransport()}
	}
	own := *hc
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, token: c.Token, sign: c.Sign, http: &own, agent: c.UserAgent}, nil
}

// ownTransport is one whose connections nobody else closes: whoever does that to the default
// one breaks requests that are on their way.
func ownTransport() http.RoundTripper {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return http.DefaultTransport
}

// parseServer reads a base URL. Where it holds a password, that is nowhere repeated: a
// client needs none, and errors end up in logs.
func parseServer(address string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimSuffix(address, "/"))
	good := err == nil && base.Host != "" && (base.Scheme == "https" || base.Scheme == "http") &&
		base.User == nil && base.RawQuery == ""
	switch {
	case good:
		return base, nil
	case strings.Contains(address, "@"):
		return nil, leger.Invalid("server",
			"the server address holds a user name or a password, or at least an '@', which it may not").
			WithHint("leave out what stands before the '@': leger config set server https://…")
	default:
		address, _, _ = strings.Cut(address, "?") // what follows may be a token
		return nil, leger.Invalid("server",
			"the server address %q is not a URL such as https://leger.example.ts.net", address).
			WithHint("leger config set server https://…")
	}
}

func safeWithoutTLS(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".ts.net") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// IsLoopback reports whether the server is on this machine.
func (c *Client) IsLoopback() bool {
	host := c.base.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Server gives the base URL.
func (c *Client) Server() string { return c.base.String() }

// request is one call; out is filled from the envelope's data.
type request struct {
	method, path string // the path escaped
	query        url.Values
	body         any
	ifMatch      leger.Version // 0: none
	ifNoneMatch  string
	out          any
}

// answer is what a caller may need besides the data.
type answer struct {
	notModified bool
	etag        string
}

func (c *Client) do(ctx context.Context, r request) (answer, error) {
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return answer{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNotModified && r.ifNoneMatch != "" {
		return answer{notModified: true, etag: r.ifNoneMatch}, nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, c.unreachable(ctx, err)
	}
	if err := c.decode(res, body, r.out); err != nil {
		return answer{}, err
	}
	return answer{etag: res.Header.Get("ETag")}, nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	u := *c.base
	u.RawPath = u.EscapedPath() + r.path
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, leger.Wrap(leger.CodeInternal, err, "make the request's path")
	}
	u.RawQuery = r.query.Encode()
	var body io.Reader
	if r.body != nil {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r.body); err != nil {
			return nil, leger.Wrap(leger.CodeInternal, err, "encode the request")
		}
		body = &b
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, leger.Wrap(leger.CodeInternal, err, "make the request")
	}
	req.Header.Set("Accept", wire.ContentType)
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	token := c.token
	if c.sign != nil {
		if token, err = c.sign(); err != nil {
			return nil, err
		}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", wire.ContentType)
	}
	if r.ifMatch != 0 {
		req.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(int64(r.ifMatch), 10)))
	}
	if r.ifNoneMatch != "" {
		req.Header.Set("If-None-Match", r.ifNoneMatch)
	}
	return req, nil
}

func (c *Client) decode(res *http.Response, body []byte, out any) error {
	var env wire.Envelope[json.RawMessage]
	if err := json.Unmarshal(body, &env); err != nil || (env.Success && env.Data == nil) || (!env.Success && env.Error == nil) {
		return leger.Errorf(leger.CodeUnreachable, "%s answered %s, which is not an answer of Leger's", c.base, res.Status).
			WithHint("check the address with: leger config get server")
	}
	if !env.Success {
		e := env.Error.Leger()
		e.FromServer = true
		if e.RequestID == "" {
			e.RequestID = res.Header.Get(wire.HeaderRequestID)
		}
		return e
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(*env.Data, out); err != nil {
		return leger.Wrap(leger.CodeUnreachable, err, "%s answered something this version of leger cannot read", c.base).
			WithHint("update leger: the server may be newer")
	}
	return nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, context.Canceled) {
		return leger.Wrap(leger.CodeInterrupted, cause, "interrupted")
	}
	if uerr, ok := errors.AsType[*url.Error](err); ok { // drop the method and URL it repeats
		err = uerr.Err
	}
	return leger.Wrap(leger.CodeUnreachable, err, "the server %s did not answer", c.base).
		WithHint("is it running and is the address right? leger config get server")
}
