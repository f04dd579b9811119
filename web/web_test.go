package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"leger.run/leger/web"
)

// built is a build as Vite leaves it: hashed files with their compressed forms.
func built() fstest.MapFS {
	return fstest.MapFS{
		".gitkeep":               {},
		"index.html":             {Data: []byte(strings.Repeat("<!doctype html>", 20))},
		"index.html.br":          {Data: []byte("brotli page")},
		"index.html.gz":          {Data: []byte("gzip page")},
		"icon.svg":               {Data: []byte("<svg/>")},
		"icon.svg.br":            {Data: []byte("longer than the plain form")},
		"assets/app-1a2b.js":     {Data: []byte(strings.Repeat("let a;", 20))},
		"assets/app-1a2b.js.br":  {Data: []byte("brotli script")},
		"assets/app-1a2b.js.gz":  {Data: []byte("gzip script")},
		"assets/app-1a2b.css":    {Data: []byte(strings.Repeat("a{}", 20))},
		"assets/app-1a2b.css.gz": {Data: []byte("gzip style")},
	}
}

func handler(t *testing.T, build fstest.MapFS, https bool) http.Handler {
	t.Helper()
	h, err := web.New(build, https)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is the head of what came back.
type answer struct {
	StatusCode int
	Header     http.Header
}

// ask sends a request with the header lines given as "Name: value".
func ask(t *testing.T, h http.Handler, method, path string, header ...string) (answer, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header()}, w.Body.String()
}

func TestEveryPathIsThePage(t *testing.T) {
	t.Parallel()
	h := handler(t, built(), false)
	for _, path := range []string{"/", "/auth", "/api-keys", "/releases/new", "/no/such/page", "/index.html.br", "/.gitkeep"} {
		res, body := ask(t, h, http.MethodGet, path)
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "<!doctype html>") {
			t.Errorf("%s: %d %.40q, want the page", path, res.StatusCode, body)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control %q: a browser would go on with an older build", path, got)
		}
		if got := res.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", path, got)
		}
	}
}

func TestHashedFilesAreKeptForever(t *testing.T) {
	t.Parallel()
	res, _ := ask(t, handler(t, built(), false), http.MethodGet, "/assets/app-1a2b.js")
	if got := res.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("Cache-Control: %q", got)
	}
}

// A tab that was open during an upgrade asks for a script of the older build. A
// page in its place would be run as script, and kept.
func TestFileOfAnotherBuildIsNotFound(t *testing.T) {
	t.Parallel()
	res, _ := ask(t, handler(t, built(), false), http.MethodGet, "/assets/app-0000.js")
	if res.StatusCode != http.StatusNotFound || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d, Cache-Control %q; want 404 that nobody keeps", res.StatusCode, res.Header.Get("Cache-Control"))
	}
}

func TestCompressedFormIsNegotiated(t *testing.T) {
	t.Parallel()
	h := handler(t, built(), false)
	for _, c := range []struct{ path, accept, coding string }{
		{"/assets/app-1a2b.js", "", ""},
		{"/assets/app-1a2b.js", "gzip, deflate, br, zstd", "br"},
		{"/assets/app-1a2b.js", "gzip", "gzip"},
		{"/assets/app-1a2b.js", "GZIP", "gzip"},
		{"/assets/app-1a2b.js", "br;q=0, gzip", "gzip"},
		{"/assets/app-1a2b.js", "br; q=0.000, *", "gzip"},
		{"/assets/app-1a2b.js", "*", "br"},
		{"/assets/app-1a2b.js", "*;q=0", ""},
		{"/assets/app-1a2b.js", "identity", ""},
		{"/assets/app-1a2b.js", "brotli", ""},
		{"/assets/app-1a2b.css", "br, gzip", "gzip"},
		{"/settings", "br", "br"},
		{"/icon.svg", "br", ""}, // its compressed form is no smaller
	} {
		var header []string
		if c.accept != "" {
			header = append(header, "Accept-Encoding: "+c.accept)
		}
		res, body := ask(t, h, http.MethodGet, c.path, header...)
		if got := res.Header.Get("Content-Encoding"); got != c.coding {
			t.Errorf("%s, Accept-Encoding %q: Content-Encoding %q, want %q", c.path, c.accept, got, c.coding)
		}
		if c.coding == "br" != strings.HasPrefix(body, "brotli ") {
			t.Errorf("%s, Accept-Encoding %q: body %.30q", c.path, c.accept, body)
		}
		vary := res.Header.Get("Vary")
		if want := c.path != "/icon.svg"; (vary == "Accept-Encoding") != want {
			t.Errorf("%s: Vary %q", c.path, vary)
		}
	}
}

func TestUnchangedFileIsNotSentAgain(t *testing.T) {
	t.Parallel()
	h := handler(t, built(), false)
	plain, _ := ask(t, h, http.MethodGet, "/")
	small, _ := ask(t, h, http.MethodGet, "/", "Accept-Encoding: br")
	tag := small.Header.Get("ETag")
	if tag == "" || tag == plain.Header.Get("ETag") {
		t.Fatalf("ETags %q and %q: two forms of a file need two", tag, plain.Header.Get("ETag"))
	}
	for _, header := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		res, body := ask(t, h, http.MethodGet, "/", "Accept-Encoding: br", "If-None-Match: "+header)
		if res.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("If-None-Match %s: %d %q, want 304", header, res.StatusCode, body)
		}
		if res.Header.Get("ETag") != tag || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("304 has ETag %q and Vary %q, want those of the file", res.Header.Get("ETag"), res.Header.Get("Vary"))
		}
	}
	if res, _ := ask(t, h, http.MethodGet, "/", "If-None-Match: "+tag); res.StatusCode != http.StatusOK {
		t.Errorf("the tag of another form gave %d", res.StatusCode)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	t.Parallel()
	res, body := ask(t, handler(t, built(), false), http.MethodHead, "/")
	if res.StatusCode != http.StatusOK || body != "" || res.Header.Get("Content-Length") != "300" {
		t.Errorf("%d, %d bytes, Content-Length %q", res.StatusCode, len(body), res.Header.Get("Content-Length"))
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	t.Parallel()
	res, _ := ask(t, handler(t, built(), false), http.MethodPost, "/settings")
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

// Every answer carries the policy, errors too: a browser shows those as pages.
func TestEveryAnswerHoldsThePolicy(t *testing.T) {
	t.Parallel()
	full, empty := handler(t, built(), true), handler(t, fstest.MapFS{".gitkeep": {}}, true)
	for name, h := range map[string]http.Handler{"built": full, "not built": empty} {
		for _, path := range []string{"/", "/icon.svg", "/assets/app-1a2b.js", "/assets/none.js"} {
			res, _ := ask(t, h, http.MethodGet, path)
			got := res.Header.Get("Content-Security-Policy")
			if !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
				t.Errorf("%s, %s: Content-Security-Policy %q", name, path, got)
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Strict-Transport-Security") == "" {
				t.Errorf("%s, %s: headers %v", name, path, res.Header)
			}
		}
	}
	if res, _ := ask(t, handler(t, built(), false), http.MethodGet, "/"); res.Header.Get("Strict-Transport-Security") != "" {
		t.Error("over plain http a browser is told to use https, where nothing answers")
	}
}

func TestWithoutABuildItSaysHowToMakeOne(t *testing.T) {
	t.Parallel()
	res, body := ask(t, handler(t, fstest.MapFS{".gitkeep": {}}, false), http.MethodGet, "/settings")
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "make build") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// The handler over whatever is embedded starts, with a build or without.
func TestEmbeddedBuildServes(t *testing.T) {
	t.Parallel()
	h, err := web.Handler(false)
	if err != nil {
		t.Fatal(err)
	}
	res, body := ask(t, h, http.MethodGet, "/")
	page := res.StatusCode == http.StatusOK && strings.Contains(body, `<div id="app">`)
	said := res.StatusCode == http.StatusServiceUnavailable && strings.Contains(body, "make build")
	if !page && !said {
		t.Errorf("%d %.80q: neither the page nor how to build it", res.StatusCode, body)
	}
}
