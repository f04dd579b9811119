package httpapi_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/token"
)

// Cookies know no ports: over plain http another program on another port of the same
// host was sent the session. Only a browser on the server's own machine is signed in
// without https.
func TestBrowsersArePlainHTTPOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *httpapi.Config) { c.PublicURL = "http://nas.example.ts.net:8787" })
	p := newPeople(s.target())
	call := func(method, path, host, bearer string, cookie *http.Cookie) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, http.NoBody)
		must(t, err)
		r.Host = host
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		if cookie != nil {
			r.AddCookie(cookie)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		res, err := roundTrip(r)
		must(t, err)
		return res
	}
	claims, err := token.New(time.Now(), rand.Reader, p.identity(t, "alice"), token.IssuerCLI, "http://nas.example.ts.net:8787", true, "test")
	must(t, err)
	link := p.sign(t, claims)
	res := call(http.MethodPost, "/api/auth/validate", "nas.example.ts.net:8787", link, nil)
	if res.status != http.StatusForbidden || !strings.Contains(string(res.body), "https") || res.header.Get("Set-Cookie") != "" {
		t.Errorf("a browser by its name: %d %s", res.status, res.body)
	}
	// A proxy that says localhost for the name it was asked by changes nothing.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/auth/validate", http.NoBody)
	must(t, err)
	r.Host = "localhost"
	r.Header.Set("X-Forwarded-Host", "nas.example.ts.net:8787")
	r.Header.Set("Authorization", "Bearer "+link)
	if res, err = roundTrip(r); err != nil || res.status != http.StatusForbidden {
		t.Errorf("a browser through a proxy: %d %s, %v", res.status, res.body, err)
	}
	// A command is not a browser.
	if res := p.as(t, "alice", http.MethodGet, "/api/user", ""); res.status != http.StatusOK {
		t.Errorf("a command: %d %s", res.status, res.body)
	}
	// The link was not used up, and signs in where nobody else listens.
	res = call(http.MethodPost, "/api/auth/validate", strings.TrimPrefix(s.URL, "http://"), link, nil)
	cookies := (&http.Response{Header: res.header}).Cookies()
	if res.status != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("on the server's own machine: %d %s", res.status, res.body)
	}
	for host, want := range map[string]int{
		strings.TrimPrefix(s.URL, "http://"): http.StatusOK,
		"localhost:8787":                     http.StatusOK,
		"nas.example.ts.net:8787":            http.StatusUnauthorized,
		"192.0.2.1:8787":                     http.StatusUnauthorized,
		"127.0.0.1.example.com":              http.StatusUnauthorized,
	} {
		if res := call(http.MethodGet, "/api/user", host, "", cookies[0]); res.status != want {
			t.Errorf("a session at %s: %d %s", host, res.status, res.body)
		}
	}
}
