package differ

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// answer is a response with what differs by nature renamed.
type answer struct {
	status  int
	code    string // of an error
	headers map[string][]string
	body    string
}

// renamer gives each value of a kind a number, in the order in which they come.
type renamer struct {
	began time.Time
	given map[string]string // kind and value → name
	count map[string]int

	number int // of the request that is answered
}

func newRenamer(began time.Time) *renamer {
	return &renamer{began: began, given: map[string]string{}, count: map[string]int{}}
}

func (r *renamer) name(kind, value string) string {
	key := kind + " " + value
	if r.given[key] == "" {
		r.count[kind]++
		r.given[key] = fmt.Sprintf("<%s %d>", kind, r.count[kind])
	}
	return r.given[key]
}

// known gives the name of a value that already has one, else the value.
func (r *renamer) known(kind, value string) string {
	if name := r.given[kind+" "+value]; name != "" {
		return name
	}
	return value
}

var (
	uuidPattern    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	requestPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

func (r *renamer) answer(res *http.Response, body []byte) (answer, error) {
	a := answer{status: res.StatusCode, headers: map[string][]string{}}
	for _, h := range comparedHeaders() {
		for _, value := range res.Header.Values(h) {
			a.headers[h] = append(a.headers[h], r.header(h, value))
		}
	}
	if res.Header.Get("Content-Type") != "application/json" || len(body) == 0 {
		a.body = string(body)
		return a, nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // 1 and 1.0 are not the same answer
	var v any
	if err := dec.Decode(&v); err != nil {
		a.body = "not JSON: " + string(body)
		return a, nil //nolint:nilerr // it is an answer all the same, and compared as one
	}
	if object, ok := v.(map[string]any); ok {
		if failure, ok := object["error"].(map[string]any); ok {
			a.code, _ = failure["code"].(string)
		}
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(r.value("", v))
	a.body = text.String()
	return a, err
}

func (r *renamer) header(name, value string) string {
	switch name {
	case "ETag":
		return r.name("etag", value)
	case "X-Request-Id":
		if requestPattern.MatchString(value) {
			name := fmt.Sprintf("<request %d>", r.number)
			r.given["request "+value] = name
			return name
		}
	case "Set-Cookie":
		if c, err := http.ParseSetCookie(value); err == nil {
			if c.Value != "" {
				value = strings.Replace(value, c.Value, r.name("cookie", c.Value), 1)
			}
			if c.RawExpires != "" {
				value = strings.Replace(value, c.RawExpires, r.time(c.RawExpires, http.TimeFormat), 1)
			}
		}
	}
	return value
}

// value renames below v, which stands in the field name.
func (r *renamer) value(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if name == "data" && v["user_uuid"] != nil {
			delete(v, "backup") // the platform keeps the Worker's data: it has nothing to tell of backups
		}
		// In the order of names, which encoding/json will write too: the numbering
		// must not hang on the order of a Go map.
		for _, key := range sortedKeys(v) {
			v[key] = r.value(key, v[key])
		}
		return v
	case []any:
		if name == "sessions" {
			byCreation(v)
		}
		for i := range v {
			v[i] = r.value(name, v[i])
		}
		return v
	case string:
		return r.text(name, v)
	default:
		return v
	}
}

// byCreation sorts sessions. The list has the one used last first, but what is used
// within a minute of its last use does not count, and one server may be past that
// minute where the other is not.
func byCreation(sessions []any) {
	at := func(v any) time.Time {
		session, _ := v.(map[string]any)
		created, _ := session["created_at"].(string)
		t, _ := time.Parse(time.RFC3339Nano, created) // the zero time sorts, too
		return t
	}
	slices.SortStableFunc(sessions, func(a, b any) int { return at(a).Compare(at(b)) })
}

func (r *renamer) text(name, v string) string {
	switch {
	case name == "value": // a secret's own text is kept to the letter
		return v
	case name == "request_id":
		return r.known("request", v)
	case name == "server":
		return r.name("origin", v)
	case name == "value_id":
		return r.name("value id", v)
	case name == "next_cursor":
		return r.name("cursor", v)
	case name == "at", name == "timestamp", strings.HasSuffix(name, "_at"), name == "last_seen":
		return r.time(v, time.RFC3339Nano)
	}
	return uuidPattern.ReplaceAllStringFunc(v, func(id string) string { return r.name("id", id) })
}

// time hides a time of this run, or that a session of this run ends at. Any other
// is kept: it was sent, and must come back as it was.
func (r *renamer) time(text, layout string) string {
	t, err := time.Parse(layout, text)
	if err != nil || t.Before(r.began.Add(-2*time.Minute)) || t.After(r.began.Add(31*24*time.Hour)) {
		return text
	}
	zone := ""
	if layout == time.RFC3339Nano && !strings.HasSuffix(text, "Z") {
		zone = " in a zone of its own"
	}
	return "<time" + zone + ">"
}
