package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// CloudflareHeaders gives the _headers file with which Cloudflare's static assets
// are served as Handler(true) serves them.
func CloudflareHeaders() string {
	head := http.Header{}
	(&handler{https: true}).setPolicy(head)
	head.Set("Cache-Control", askAgain)
	var b strings.Builder
	b.WriteString("/*\n")
	for _, name := range slices.Sorted(maps.Keys(head)) {
		b.WriteString("  " + name + ": " + head.Get(name) + "\n")
	}
	b.WriteString(assets + "*\n  ! Cache-Control\n  Cache-Control: " + forever + "\n")
	return b.String()
}
