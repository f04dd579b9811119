//go:build js && wasm

// Command leger-worker is Leger's server as a Cloudflare Worker: the same handlers
// as leger-server, compiled to WebAssembly. worker/src starts it inside the first
// request of an isolate, hands it every request and runs what it asks of the
// bindings.
package main

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime/debug"
	"syscall/js"
	"time"
)

// hostName is where the shim leaves itself for this program, which takes it away.
const hostName = "__leger"

// memoryLimit is where Go begins to collect garbage eagerly, in bytes.
const memoryLimit = 28 << 20

func main() {
	h := newHost(js.Global().Get(hostName))
	js.Global().Delete(hostName)
	log := slog.New(slog.NewJSONHandler(h, nil))
	var set settings
	if err := json.Unmarshal([]byte(h.js.Get("settings").String()), &set); err != nil {
		log.Error("the shim gave settings that are no JSON", slog.Any("error", err))
	}
	s := newServer(config{
		Bindings: h, Settings: set, Now: time.Now, Random: rand.Reader, Log: log,
	})
	h.serve(routes(h, s), s.prune, log)
	// An isolate has 128 MB for everything, and WebAssembly's memory never shrinks.
	debug.SetMemoryLimit(memoryLimit)
	select {} // the shim's calls start goroutines from here on
}

// routes gives the handler of everything the shim hands over; a test build adds
// routes that break things.
func routes(h *host, s *server) http.Handler {
	return testRoutes(h, s)
}
