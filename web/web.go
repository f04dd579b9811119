// Package web serves Leger's pages: what a browser gets outside /api. Every page
// holds under a content security policy without inline script or style. The
// files are the build of the app beside this package (make web), embedded and
// compressed beforehand.
//
// It speaks to nothing itself; the pages call the API like any other client.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// The build is not in the repository: a fresh clone embeds dist/.gitkeep only,
// compiles, and answers with notBuilt.
//
//go:embed all:dist
var files embed.FS

// policy lets a page load its own script and style, call its own origin, and
// nothing else; nobody may frame it or change its base.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

const (
	page     = "/index.html"
	assets   = "/assets/" // names there hold a hash of the content
	notBuilt = "the web app is not built into this program: run make build\n"

	forever  = "public, max-age=31536000, immutable"
	askAgain = "no-cache"
)

// Handler serves the pages of the embedded build. Over https it tells browsers to
// stay there.
func Handler(https bool) (http.Handler, error) {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		return nil, err
	}
	return New(dist, https)
}

// New serves a build: index.html, files beside it, and hashed files below assets,
// each perhaps with FILE.br and FILE.gz. A path that is no file is the
// application's page, which reads the path itself; only below /assets/ it is 404,
// so that a script of an older build is not answered with a page. Without an
// index.html every answer is 503 and says how to build one.
func New(build fs.FS, https bool) (http.Handler, error) {
	found := map[string]variant{}
	err := fs.WalkDir(build, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(build, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		found["/"+name] = variant{body: body, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		return nil, err
	}
	h := &handler{files: map[string]file{}, https: https}
	for name, plain := range found {
		contentType := mime.TypeByExtension(path.Ext(name))
		if contentType == "" || isCompressed(name) {
			continue
		}
		f := file{contentType: contentType, plain: plain}
		for _, c := range codings() {
			if v, ok := found[name+c.suffix]; ok && len(v.body) < len(plain.body) {
				v.coding = c.name
				f.compressed = append(f.compressed, v)
			}
		}
		h.files[name] = f
	}
	return h, nil
}

type handler struct {
	files map[string]file
	https bool
}

// file is one path with the forms it can be sent in, the smallest first.
type file struct {
	contentType string
	plain       variant
	compressed  []variant
}

type variant struct {
	coding string // "" for none
	body   []byte
	etag   string
}

type coding struct{ name, suffix string }

// codings in order of preference.
func codings() []coding { return []coding{{"br", ".br"}, {"gzip", ".gz"}} }

func isCompressed(name string) bool {
	for _, c := range codings() {
		if strings.HasSuffix(name, c.suffix) {
			return true
		}
	}
	return false
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.setPolicy(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page takes GET only", http.StatusMethodNotAllowed)
		return
	}
	f, known := h.files[r.URL.Path]
	hashed := strings.HasPrefix(r.URL.Path, assets)
	if !known && hashed {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "there is no such file in this version of Leger", http.StatusNotFound)
		return
	}
	if !known {
		if f, known = h.files[page]; !known {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, notBuilt, http.StatusServiceUnavailable)
			return
		}
	}
	f.serve(w, r, hashed)
}

func (h *handler) setPolicy(head http.Header) {
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if h.https {
		head.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

func (f file) serve(w http.ResponseWriter, r *http.Request, hashed bool) {
	v := f.plain
	for _, c := range f.compressed {
		if accepts(r.Header.Values("Accept-Encoding"), c.coding) {
			v = c
			break
		}
	}
	head := w.Header()
	head.Set("Cache-Control", askAgain)
	if hashed {
		head.Set("Cache-Control", forever)
	}
	if len(f.compressed) > 0 {
		head.Set("Vary", "Accept-Encoding")
	}
	// Each form has its own tag: they are different bytes (RFC 9110, 8.8.3.3).
	head.Set("ETag", v.etag)
	if unchanged(r.Header.Values("If-None-Match"), v.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Type", f.contentType)
	head.Set("Content-Length", strconv.Itoa(len(v.body)))
	if v.coding != "" {
		head.Set("Content-Encoding", v.coding)
	}
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(v.body) // a browser that went away needs no answer
}

// accepts reads Accept-Encoding (RFC 9110, 12.5.3): the coding by its name or by
// "*", unless its weight is 0.
func accepts(headers []string, coding string) bool {
	star := false
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			name, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
			name = strings.TrimSpace(name)
			ok := !zeroWeight(parameters)
			if strings.EqualFold(name, coding) {
				return ok
			}
			if name == "*" {
				star = ok
			}
		}
	}
	return star
}

func zeroWeight(parameters string) bool {
	q, found := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
	if !found {
		return false
	}
	weight, err := strconv.ParseFloat(q, 64)
	return err != nil || weight <= 0
}

// unchanged compares weakly, as RFC 9110, 13.1.2 asks.
func unchanged(headers []string, etag string) bool {
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			part = strings.TrimSpace(part)
			if part == "*" || strings.TrimPrefix(part, "W/") == etag {
				return true
			}
		}
	}
	return false
}
