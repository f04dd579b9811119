//go:build e2e

package worker_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// caller is somebody with a token, at one server.
type caller struct {
	url    string
	bearer string
	http   *http.Client
}

func newCaller(t *testing.T, url string, k keys, email string) *caller {
	t.Helper()
	claims, err := token.New(time.Now(), rand.Reader, leger.LocalIdentity(email), token.IssuerCLI, url, false, "test")
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.Sign(k.secret(t), claims)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{url: url, bearer: "Bearer " + text, http: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 128},
	}}
}

// as is the same server with somebody else's token.
func (c *caller) as(t *testing.T, k keys, email string) *caller {
	t.Helper()
	other := newCaller(t, c.url, k, email)
	other.http = c.http
	return other
}

// result is an answer; err is set when there was none.
type result struct {
	status int
	body   []byte
	err    error
}

// String has no body: it may hold a value.
func (r result) String() string {
	var e struct {
		Error struct{ Code, Message, Hint string }
	}
	_ = json.Unmarshal(r.body, &e) // then it is empty
	return fmt.Sprintf("status %d, error %v, %+v", r.status, r.err, e.Error)
}

func (r result) code() string {
	var e struct{ Error struct{ Code string } }
	_ = json.Unmarshal(r.body, &e) // then there is none
	return e.Error.Code
}

// data decodes what a success holds.
func (r result) data(out any) error {
	if r.err != nil || r.status != http.StatusOK {
		return fmt.Errorf("no success: %s", r)
	}
	return json.Unmarshal(r.body, &struct{ Data any }{out})
}

// call sends a request; ifMatch is a version or "".
func (c *caller) call(ctx context.Context, method, path, ifMatch, body string) result {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, reader)
	if err != nil {
		return result{err: err}
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	req.Header.Set("Authorization", c.bearer)
	res, err := c.http.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return result{res.StatusCode, text, err}
}

// signIn makes the account, without a browser session.
func (c *caller) signIn(t *testing.T) {
	t.Helper()
	if r := c.call(t.Context(), http.MethodPost, "/api/auth/validate", "", `{"session":false}`); r.status != http.StatusOK {
		t.Fatalf("sign in: %s", r)
	}
}

// stored is a secret as the list with values shows it.
type stored struct {
	Name    string
	Value   string
	Version int64
}

func (c *caller) secrets(ctx context.Context) (map[string]stored, error) {
	var out struct{ Secrets []stored }
	if err := c.call(ctx, http.MethodGet, "/api/secrets?include_values=true", "", "").data(&out); err != nil {
		return nil, err
	}
	all := map[string]stored{}
	for _, s := range out.Secrets {
		all[s.Name] = s
	}
	return all, nil
}

// write gives a secret a value, and the version the server acknowledged.
func (c *caller) write(ctx context.Context, name, value, ifMatch string) (int64, result) {
	r := c.call(ctx, http.MethodPost, "/api/secrets/"+name, ifMatch, fmt.Sprintf(`{"value":%q}`, value))
	var out struct{ Version int64 }
	if err := r.data(&out); err != nil && r.err == nil && r.status == http.StatusOK {
		r.err = err
	}
	return out.Version, r
}
