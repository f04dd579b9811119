package differ_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/differ"
	"leger.run/leger/internal/token"
)

// server answers as Leger does, with ids and times of its own.
type server struct {
	t    *testing.T
	ids  []string
	seen []string // paths with their queries
	how  func(*server, http.ResponseWriter, *http.Request)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.seen = append(s.seen, r.URL.RequestURI())
	s.how(s, w, r)
}

func (s *server) id() string {
	id, err := leger.NewID(rand.Reader)
	if err != nil {
		s.t.Error(err)
	}
	s.ids = append(s.ids, id)
	return id
}

func requestID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// usual makes a release, and lists all there are, the oldest first.
func usual(s *server, w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("ETag", `"`+requestID()+`"`)
	now := time.Now().UTC().Format(time.RFC3339Nano)
	switch {
	case r.Method == http.MethodPost:
		_, _ = fmt.Fprintf(w, `{"success":true,"data":{"id":%q,"created_at":%q}}`, s.id(), now)
	case r.URL.Path == "/api/releases":
		_, _ = fmt.Fprintf(w, `{"success":true,"data":{"ids":["%s"],"next_cursor":%q}}`, strings.Join(s.ids, `","`), requestID())
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, `{"success":false,"error":{"code":"not_found","message":"none","request_id":%q}}`, id)
	}
}

func compare(t *testing.T, left, right func(*server, http.ResponseWriter, *http.Request), requests ...differ.Request) (differ.Result, [2]*server) {
	t.Helper()
	sides := [2]*server{{t: t, how: left}, {t: t, how: right}}
	shared, err := token.ParseSecret([]byte(strings.Repeat("s", token.MinSecret)))
	if err != nil {
		t.Fatal(err)
	}
	c := differ.Config{Names: [2]string{"left", "right"}, Shared: shared, Now: time.Now, Random: rand.Reader, Client: differ.NewClient()}
	for i, s := range sides {
		h := httptest.NewServer(s)
		t.Cleanup(h.Close)
		c.Servers[i] = h.URL
	}
	result, err := differ.Run(t.Context(), c, requests)
	if err != nil {
		t.Fatal(err)
	}
	return result, sides
}

func some() []differ.Request {
	create := differ.Request{Method: http.MethodPost, Path: "/api/releases"}
	return []differ.Request{
		create, create,
		{Method: http.MethodGet, Path: "/api/releases"},
		{Method: http.MethodGet, Path: "/api/releases/«release:1»?cursor=«cursor:0»"},
	}
}

func TestWhatDiffersByNatureIsNoDifference(t *testing.T) {
	t.Parallel()
	result, sides := compare(t, usual, usual, some()...)
	for _, d := range result.Differences {
		t.Error(d)
	}
	if result.Statuses[200] != 3 || result.Codes["not_found"] != 1 {
		t.Errorf("got %v, %v", result.Statuses, result.Codes)
	}
	for _, s := range sides { // each server is asked for what it gave
		if last := s.seen[3]; !strings.HasPrefix(last, "/api/releases/"+s.ids[1]+"?cursor=") || strings.ContainsAny(last, "«%") {
			t.Errorf("asked for %s of %v", last, s.ids)
		}
	}
}

func TestEveryOtherDifferenceShows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		other func(*server, http.ResponseWriter, *http.Request)
		want  string
	}{
		"two ids changed places": {func(s *server, w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && len(s.ids) == 2 {
				s.ids[0], s.ids[1] = s.ids[1], s.ids[0]
			}
			usual(s, w, r)
		}, "<id 2>"},
		"another status": {func(_ *server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, "418"},
		"a header is missing": {func(s *server, w http.ResponseWriter, r *http.Request) {
			usual(s, without{w, "Cache-Control"}, r)
		}, "no-store"},
		"a time of long ago": {with(`{"created_at":"2001-01-01T00:00:00Z"}`), "2001-01-01"},
		"a time not in UTC":  {with(`{"created_at":"` + time.Now().Format("2006-01-02T15:04:05+00:00") + `"}`), "a zone of its own"},
		"a number's form":    {with(`{"version":1.0}`), "1.0"},
		"an error's request": {func(s *server, w http.ResponseWriter, r *http.Request) {
			usual(s, replacing{w, `"request_id":"`, `"request_id":"x`}, r)
		}, "request_id\\\":\\\"x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, _ := compare(t, usual, c.other, some()...)
			var all strings.Builder
			for _, d := range result.Differences {
				all.WriteString(d.String())
			}
			if !strings.Contains(all.String(), c.want) {
				t.Errorf("no %q in the differences:\n%s", c.want, &all)
			}
		})
	}
}

func with(body string) func(*server, http.ResponseWriter, *http.Request) {
	return func(_ *server, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

// without leaves a header out.
type without struct {
	http.ResponseWriter
	header string
}

func (w without) Write(b []byte) (int, error) {
	w.Header().Del(w.header)
	return w.ResponseWriter.Write(b)
}

type replacing struct {
	http.ResponseWriter
	from, to string
}

func (w replacing) Write(b []byte) (int, error) {
	_, err := w.ResponseWriter.Write([]byte(strings.ReplaceAll(string(b), w.from, w.to)))
	return len(b), err
}

// The seed alone decides, so that a difference can be looked at again; and what is
// generated has something of everything.
func TestRequestsDependOnTheSeedAlone(t *testing.T) {
	t.Parallel()
	const n = 2000
	requests := differ.Generate(7, n)
	if len(requests) != n {
		t.Errorf("%d requests", len(requests))
	}
	if !reflect.DeepEqual(requests, differ.Generate(7, n)) {
		t.Error("the same seed gave other requests")
	}
	if reflect.DeepEqual(requests, differ.Generate(8, n)) {
		t.Error("another seed gave the same requests")
	}
	kinds, methods := map[differ.Kind]int{}, map[string]int{}
	for _, r := range requests {
		kinds[r.Who.Kind]++
		methods[r.Method]++
	}
	if len(kinds) != 15 {
		t.Errorf("%d kinds of credentials: %v", len(kinds), kinds)
	}
	if len(methods) != 8 {
		t.Errorf("%d methods: %v", len(methods), methods)
	}
}
