package httpapi

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
)

// cut makes text from outside fit to be kept and shown: n bytes at most, of whole
// characters that can be printed.
func cut(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	s = leger.PrintableText(s)
	if len(s) > n { // U+FFFD takes three bytes
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// precondition reads If-Match: absent, "*" or one quoted version.
func precondition(r *http.Request) (vault.Precondition, error) {
	text := strings.TrimSpace(r.Header.Get("If-Match"))
	switch text {
	case "":
		return vault.Precondition{}, nil
	case "*":
		return vault.Precondition{Exists: true}, nil
	}
	unquoted := strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`)
	n, err := strconv.ParseInt(unquoted, 10, 64)
	if err != nil || n < 1 || text != `"`+unquoted+`"` {
		return vault.Precondition{}, leger.Invalid("If-Match", `If-Match must be * or a version in quotes, as in "3"`)
	}
	return vault.Precondition{Version: leger.Version(n)}, nil
}

// ifNoneMatch adds to pre what If-None-Match asks of a write: absent, or "*" for
// what must not exist yet.
func ifNoneMatch(r *http.Request, pre vault.Precondition) (vault.Precondition, error) {
	switch text := strings.TrimSpace(r.Header.Get("If-None-Match")); {
	case text == "":
		return pre, nil
	case text != "*":
		return pre, leger.Invalid("If-None-Match", "If-None-Match of a write must be *: nothing of the name may exist yet")
	case pre != vault.Precondition{}:
		return pre, leger.Invalid("If-None-Match", "If-Match and If-None-Match: * contradict each other")
	}
	return vault.Precondition{Absent: true}, nil
}

// maxCursor is longer than any that is given: the longest name of a machine, and its id.
const maxCursor = leger.MaxHostName + 1 + leger.MaxDeviceID

// page reads ?limit= and ?cursor=; the cursor is what the last page gave.
func page(r *http.Request) (limit int, cursor string, err error) {
	q := r.URL.Query()
	limit = leger.DefaultPageSize
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > leger.MaxPageSize {
			return 0, "", leger.Invalid("limit", "limit must be a whole number from 1 to %d", leger.MaxPageSize)
		}
		limit = n
	}
	if text := q.Get("cursor"); text != "" {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(b) == 0 || len(b) > maxCursor {
			return 0, "", badCursor()
		}
		cursor = string(b)
	}
	return limit, cursor, nil
}

func badCursor() error {
	return leger.Invalid("cursor", "cursor must be the next_cursor of the page before")
}

func cursorOf(s string) string {
	if s == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(s))
}
