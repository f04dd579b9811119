//go:build js && wasm && workertest

package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// testRoutes lets tests wait, break and measure an instance. They are in no build
// but the tests'.
func testRoutes(h *host, s *server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /test/sleep", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil {
			http.Error(w, "ms is no number", http.StatusBadRequest)
			return
		}
		<-time.After(time.Duration(ms) * time.Millisecond)
	})
	mux.HandleFunc("POST /test/panic", func(http.ResponseWriter, *http.Request) { panic("as asked") })
	mux.HandleFunc("POST /test/exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	mux.HandleFunc("GET /test/memory", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_, _ = fmt.Fprintf(w, `{"wasm_bytes":%d,"heap_bytes":%d}`, h.js.Call("memory").Int(), m.HeapAlloc)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/test/") {
			mux.ServeHTTP(w, r)
			return
		}
		s.ServeHTTP(w, r) // not through mux, which answers unclean paths itself
	})
}
