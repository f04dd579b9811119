package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// PageHeaders are what every answer of Handler(true) carries.
func PageHeaders() map[string]string {
	head := http.Header{}
	(&handler{https: true}).setPolicy(head)
	all := make(map[string]string, len(head))
	for name := range head {
		all[name] = head.Get(name)
	}
	return all
}

// CloudflareHeaders gives the _headers file with which Cloudflare's static assets
// are served as Handler(true) serves them.
func CloudflareHeaders() string {
	head := PageHeaders()
	head["Cache-Control"] = askAgain
	var b strings.Builder
	b.WriteString("/*\n")
	for _, name := range slices.Sorted(maps.Keys(head)) {
		b.WriteString("  " + name + ": " + head[name] + "\n")
	}
	b.WriteString(assets + "*\n  ! Cache-Control\n  Cache-Control: " + forever + "\n")
	return b.String()
}
