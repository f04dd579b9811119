package httpapi_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
)

// Whoever writes an answer, it carries the security headers: a browser shows a
// redirect of the mux or its 404 as a page, too.
func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *httpapi.Config) { c.Stores = panicking{c.Stores, "text"} })
	bearer := "Authorization: Bearer " + newPeople(s.target()).token(t, "alice") + "\r\n"
	for line, want := range map[string]int{
		"GET //evil.example/x":          http.StatusTemporaryRedirect,
		"GET /a/../b":                   http.StatusTemporaryRedirect,
		"POST //x":                      http.StatusTemporaryRedirect,
		"GET /no/such/page":             http.StatusNotFound,
		"GET /api/no-such-route":        http.StatusNotFound,
		"GET /api//secrets":             http.StatusNotFound,
		"PUT /api/secrets":              http.StatusMethodNotAllowed,
		"OPTIONS *":                     http.StatusBadRequest,
		"CONNECT example.com:443":       http.StatusNotFound,
		"GET /health":                   http.StatusOK,
		"GET /api/openapi.yaml":         http.StatusOK,
		"GET /api/auth/methods":         http.StatusOK,
		"GET /api/sessions":             http.StatusUnauthorized,
		"GET /api/user\r\n" + bearer:    http.StatusInternalServerError, // a panic
		"POST /api/enrolments\r\ntoo-l": http.StatusRequestEntityTooLarge,
	} {
		t.Run(strings.SplitN(line, "\r\n", 2)[0], func(t *testing.T) {
			t.Parallel()
			status, head := rawAnswer(t, s, line)
			if status != want {
				t.Errorf("status %d, want %d", status, want)
			}
			for name, value := range httpapi.SecurityHeaders(false) {
				if got := head.Get(name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
			if head.Get("Strict-Transport-Security") != "" {
				t.Error("over plain http a browser is told to use https, where nothing answers")
			}
		})
	}
}

func TestOverHTTPSBrowsersAreToldToStayThere(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *httpapi.Config) { c.PublicURL = "https://leger.example.ts.net" })
	for _, path := range []string{"//x", "/health", "/api/user", "/nothing"} {
		if _, head := rawAnswer(t, s, "GET "+path); head.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: headers %v", path, head)
		}
	}
}

// rawAnswer sends a request as it is written, which net/http would clean up: the
// method and the target, perhaps a header below, or "too-l" for a body that is too large.
func rawAnswer(t *testing.T, s *server, line string) (int, http.Header) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	first, header, _ := strings.Cut(line, "\r\n")
	body := ""
	if header == "too-l" {
		body = strings.Repeat(" ", leger.MaxBody+1)
		header = fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", first, s.Listener.Addr(), header, body)
	must(t, err)
	method, _, _ := strings.Cut(first, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	must(t, err)
	_ = res.Body.Close()
	return res.StatusCode, res.Header
}
