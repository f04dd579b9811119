// Package web serves Leger's pages: what a browser gets outside /api. Every page
// holds under a content security policy without inline script or style.
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
)

//go:embed static
var files embed.FS

// policy lets a page load its own script and style, call its own origin, and
// nothing else; nobody may frame it or change its base.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

type asset struct {
	body        []byte
	contentType string
	etag        string
}

// Handler serves the pages. Every path that is not a file is the application's
// page, which reads the path itself. Over https it tells browsers to stay there.
func Handler(https bool) (http.Handler, error) {
	assets := map[string]asset{}
	err := fs.WalkDir(files, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		assets[name[len("static"):]] = asset{body, mime.TypeByExtension(path.Ext(name)), `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &handler{assets, https}, nil
}

type handler struct {
	assets map[string]asset
	https  bool
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page takes GET only", http.StatusMethodNotAllowed)
		return
	}
	a, ok := h.assets[r.URL.Path]
	if !ok {
		a = h.assets["/index.html"]
	}
	head := w.Header()
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
	head.Set("Cache-Control", "no-cache")
	head.Set("ETag", a.etag)
	head.Set("Content-Type", a.contentType)
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(a.body)
}
