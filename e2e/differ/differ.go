// Package differ sends the same generated requests to two servers that should be
// the same to a client, and says where their answers differ.
//
// What differs by nature is renamed on each side: the n-th id, cursor, ETag, cookie
// and request id that one server gave must stand wherever the n-th of the other
// does, so that an id that is mixed up still shows. A time must be one of this
// run's. Everything else must be equal to the letter, but for the order of fields
// in a JSON object, and but for X-Request-Id on a page.
//
// The requests depend on the seed alone; what they take from earlier answers (an
// id, a cursor, an ETag, a cookie) is written as a reference and filled in for each
// server from its own answers. The package knows the routes and rules of the API,
// and no server.
package differ

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"leger.run/leger/internal/token"
)

// Config says whom to compare. Every field is required.
type Config struct {
	Servers [2]string // base URLs; the first is the one that is right
	Names   [2]string // how a difference names them
	Shared  token.Secret
	Now     func() time.Time
	Random  io.Reader // for the ids in tokens
	Client  *http.Client
	// Except names headers that differ by the nature of what is compared.
	Except []string
}

// NewClient gives a client that shows each answer as the server gave it: it follows
// no redirect, unpacks nothing and keeps no cookie.
func NewClient() *http.Client {
	return &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Request is one generated request, its references still open.
type Request struct {
	Method  string
	Path    string // with the query
	Who     Credential
	Headers [][2]string
	Body    string
	HasBody bool
}

// toAPI tells the API's routes from the web app's pages.
func (r Request) toAPI() bool {
	path, _, _ := strings.Cut(r.Path, "?")
	return path == "/health" || path == "/ready" || path == "/api" || strings.HasPrefix(path, "/api/")
}

// String is for reports; the body is cut.
func (r Request) String() string {
	return fmt.Sprintf("%s %s as %s %q %s", r.Method, shorten(r.Path, 200), r.Who, r.Headers, shorten(r.Body, 200))
}

func shorten(s string, n int) string {
	if len(s) > n {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:n], ""), len(s))
	}
	return s
}

// Difference is one request that was not answered alike.
type Difference struct {
	Number  int
	Request Request
	What    string // one line for each thing that differs
}

func (d Difference) String() string {
	return fmt.Sprintf("request %d: %s\n%s", d.Number, d.Request, d.What)
}

// Result is what a run showed.
type Result struct {
	Differences []Difference
	Statuses    map[int]int    // how often each status was the first server's answer
	Codes       map[string]int // the same for the codes of errors
}

// tooMany differences are enough to stop at: after the first, the servers' states
// may differ too.
const tooMany = 10

// Run sends the requests, each to both servers before the next. It fails when a
// server cannot be reached, which is not a difference.
func Run(ctx context.Context, c Config, requests []Request) (Result, error) {
	began := c.Now()
	sides := [2]*side{newSide(c.Servers[0], began), newSide(c.Servers[1], began)}
	signers := [2]*signer{newSigner(c, c.Servers[0]), newSigner(c, c.Servers[1])}
	result := Result{Statuses: map[int]int{}, Codes: map[string]int{}}
	for number, r := range requests {
		var answers [2]answer
		for i, s := range sides {
			credential, err := signers[i].credential(r.Who)
			if err != nil {
				return result, err
			}
			s.names.number = number
			if answers[i], err = s.send(ctx, c.Client, r, credential); err != nil {
				return result, fmt.Errorf("request %d to %s: %s: %w", number, c.Names[i], r, err)
			}
		}
		result.Statuses[answers[0].status]++
		if answers[0].code != "" {
			result.Codes[answers[0].code]++
		}
		if what := c.compare(r, answers); what != "" {
			result.Differences = append(result.Differences, Difference{number, r, what})
		}
		if len(result.Differences) == tooMany {
			break
		}
	}
	return result, nil
}

// side is one server, and what it has answered so far.
type side struct {
	base  string
	names *renamer
	found findings
}

func newSide(base string, began time.Time) *side {
	return &side{base: strings.TrimSuffix(base, "/"), names: newRenamer(began), found: newFindings()}
}

// send sends r with its references filled in, and gives the renamed answer.
func (s *side) send(ctx context.Context, client *http.Client, r Request, credential string) (answer, error) {
	target, err := url.Parse(s.base + s.found.fill(r.Path, s.base))
	if err != nil {
		return answer{}, err
	}
	var body io.Reader
	if r.HasBody {
		body = strings.NewReader(s.found.fill(r.Body, s.base))
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, target.String(), body)
	if err != nil {
		return answer{}, err
	}
	for _, h := range r.Headers {
		req.Header.Add(h[0], s.found.fill(h[1], s.base))
	}
	if credential != "" {
		req.Header.Set("Authorization", credential)
	}
	if cookie := r.Who.cookie(); cookie != "" {
		req.Header.Set("Cookie", s.found.fill(cookie, s.base))
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	s.found.take(r, res, text)
	return s.names.answer(res, text)
}

// compare gives what differs, a line for each.
func (c Config) compare(r Request, a [2]answer) string {
	var b strings.Builder
	line := func(what, left, right string) {
		if left != right {
			left, right = around(left, right)
			_, _ = fmt.Fprintf(&b, "  %s\n    %s: %s\n    %s: %s\n", what, c.Names[0], left, c.Names[1], right)
		}
	}
	line("status", fmt.Sprint(a[0].status), fmt.Sprint(a[1].status))
	for _, h := range comparedHeaders() {
		if slices.Contains(c.Except, h) {
			continue
		}
		if h == "X-Request-Id" && !r.toAPI() {
			continue // on Cloudflare, pages are no request of the Worker's
		}
		line(h, strings.Join(a[0].headers[h], " | "), strings.Join(a[1].headers[h], " | "))
	}
	line("body", a[0].body, a[1].body)
	return strings.TrimSuffix(b.String(), "\n")
}

// around cuts two texts to where they begin to differ.
func around(a, b string) (string, string) {
	const before, length = 120, 400
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	cut := func(s string) string {
		from := max(0, same-before)
		out := shorten(s[from:], length)
		if from > 0 {
			out = "…" + out
		}
		return fmt.Sprintf("%q", out)
	}
	return cut(a), cut(b)
}

// comparedHeaders are those that a client's behaviour hangs on.
func comparedHeaders() []string {
	return []string{
		"Content-Type", "ETag", "Cache-Control", "WWW-Authenticate", "Allow", "Retry-After", "Set-Cookie", "Location",
		"X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Vary", "Content-Security-Policy", "Strict-Transport-Security", "X-Request-Id",
	}
}

// Ready waits for nothing: it asks both servers for /health and says which does not
// answer, before 2,000 requests do.
func Ready(ctx context.Context, c Config) error {
	var errs []error
	for i, base := range c.Servers {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health", nil)
		if err != nil {
			return err
		}
		res, err := c.Client.Do(req)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Names[i], err))
			continue
		}
		text, err := io.ReadAll(res.Body)
		errs = append(errs, err, res.Body.Close())
		if !bytes.Contains(text, []byte(`"leger-app"`)) {
			errs = append(errs, fmt.Errorf("%s: %s/health is not Leger's: %s", c.Names[i], base, res.Status))
		}
	}
	return errors.Join(errs...)
}
