package differ

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// findings are what a server has answered that later requests refer to.
type findings struct {
	lists map[string][]string // kind → values in the order in which they came
}

func newFindings() findings { return findings{map[string][]string{}} }

// A reference is «kind:number». The number is taken modulo how many there are; of
// none, it is what stands for nothing.
var reference = regexp.MustCompile(`«([^«»]+):([0-9]+)»`)

func ref(kind string, n int) string { return fmt.Sprintf("«%s:%d»", kind, n) }

// Kinds of references.
const (
	kindRelease = "release" // id of a release that was made
	kindSession = "session" // id of a session that a list showed
	kindCookie  = "cookie"  // value of a session cookie, prefixed by whose it is
	kindCursor  = "cursor"  // next_cursor
	kindETag    = "etag"    // of a list
	kindOrigin  = "origin"  // the server's own
)

// latestETag is the kind of the ETag that somebody last got for a list.
func latestETag(path string, who Credential) string {
	return kindETag + " of " + path + " for " + who.User
}

// nothing stands where no answer has given a value of a kind yet.
func nothing(kind string) string {
	switch {
	case kind == kindRelease || kind == kindSession:
		return "00000000-0000-4000-8000-000000000000"
	case strings.HasPrefix(kind, kindETag):
		return `"00000000000000000000000000000000"`
	default:
		return "bm90aGluZw"
	}
}

func (f findings) fill(text, base string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		parts := reference.FindStringSubmatch(match)
		kind := parts[1]
		if kind == kindOrigin {
			return base
		}
		list := f.lists[kind]
		if len(list) == 0 {
			return nothing(kind)
		}
		n, err := strconv.Atoi(parts[2])
		if err != nil {
			return nothing(kind)
		}
		return list[n%len(list)]
	})
}

func (f findings) add(kind, value string) {
	if value != "" && !slices.Contains(f.lists[kind], value) {
		f.lists[kind] = append(f.lists[kind], value)
	}
}

// take keeps what an answer gives.
func (f findings) take(r Request, res *http.Response, body []byte) {
	if etag := res.Header.Get("ETag"); etag != "" {
		f.add(kindETag, etag)
		f.lists[latestETag(r.Path, r.Who)] = []string{etag}
	}
	for _, c := range res.Cookies() {
		f.add(kindCookie+" "+r.Who.User, c.Name+"="+c.Value)
	}
	var out struct {
		Data struct {
			ID         string `json:"id"`
			NextCursor string `json:"next_cursor"`
			Sessions   any    `json:"sessions"` // a list, or how many ended
		} `json:"data"`
	}
	if res.StatusCode != http.StatusOK || json.Unmarshal(body, &out) != nil {
		return
	}
	f.add(kindCursor, out.Data.NextCursor)
	if strings.HasPrefix(r.Path, "/api/releases") && r.Method == http.MethodPost {
		f.add(kindRelease, out.Data.ID)
	}
	if sessions, ok := out.Data.Sessions.([]any); ok {
		byCreation(sessions)
		for _, s := range sessions {
			if object, ok := s.(map[string]any); ok {
				id, _ := object["id"].(string)
				f.add(kindSession, id)
			}
		}
	}
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
