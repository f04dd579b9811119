package httpapi_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/token"
)

// Scripts of requests and answers: testdata/script/*.txt. The scripts speak only
// HTTP, so that they hold any server to the contract:
//
//	LEGER_TEST_URL=https://… LEGER_TEST_JWT_SECRET=… LEGER_TEST_OPERATOR=… go test ./internal/httpapi -run TestScripts
//
// runs them against that one, which should not limit users, with the ticket of its
// operator; how it slows wrong
// credentials down is waited for. A script is exchanges, with
// blank lines between:
//
//	# comment
//	alice> POST /api/secrets/key          who asks (people.authorize), method, path
//	If-Match: "1"                         headers
//	{"value": "x"}                        body
//	= 200                                 status, and for an error its code and field
//	ETag: "<text>"                        headers that matter; "-": it must be absent
//	{"success": true, …}                  the whole answer
//
// A body is sent as application/json unless there is a Content-Type; "none" sends
// none. ${x*70000} is 70,000 times x, ${hex:ff00} is these bytes, ${name} is what
// an earlier <…:name> stood for, ${alice.uuid} is known from the start, and
// ${origin} is the server's; ${machine:alice+box} and ${key:alice+box} are a machine's
// id and public key. In an answer <time>, <id>, <text>, <number> stand for any such value, and <id:name>
// remembers it, or must be the same when it is remembered already.
type script struct {
	name      string
	exchanges []exchange
}

type exchange struct {
	line         int
	caller       string
	method, path string
	header       [][2]string
	body         string

	status      int
	code, field string // of an error; empty: the golden body says it all
	wantHeader  [][2]string
	want        string // golden JSON; empty: not looked at
}

var (
	requestLine = regexp.MustCompile(`^([a-z/@#0-9+-]+)> ([A-Z]+) (\S+)$`)
	statusLine  = regexp.MustCompile(`^= ([0-9]{3})(?: ([a-z_]+))?(?: (\S+))?$`)
	headerLine  = regexp.MustCompile(`^([A-Z][A-Za-z-]*): (.*)$`)
)

// readScript reads a file; a line it does not understand fails the test.
func readScript(t *testing.T, path string) script {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	s := script{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	var e *exchange
	answering := false
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if m := requestLine.FindStringSubmatch(line); m != nil {
			s.exchanges = append(s.exchanges, exchange{line: i + 1, caller: m[1], method: m[2], path: m[3]})
			e, answering = &s.exchanges[len(s.exchanges)-1], false
			continue
		}
		if e == nil {
			t.Fatalf("%s:%d: not a request line", path, i+1)
		}
		header := headerLine.FindStringSubmatch(line)
		switch m := statusLine.FindStringSubmatch(line); {
		case m != nil && !answering:
			e.status, _ = strconv.Atoi(m[1])
			e.code, e.field, answering = m[2], m[3], true
		case header != nil && !answering && e.body == "":
			e.header = append(e.header, [2]string{header[1], header[2]})
		case header != nil && answering && e.want == "":
			e.wantHeader = append(e.wantHeader, [2]string{header[1], header[2]})
		case answering:
			e.want += line + "\n"
		default:
			e.body += line
		}
	}
	for _, e := range s.exchanges {
		if e.status == 0 {
			t.Fatalf("%s:%d: no answer is given", path, e.line)
		}
	}
	return s
}

func readScripts(t *testing.T) []script {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txt"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are no scripts")
	}
	var all []script
	for _, f := range files {
		all = append(all, readScript(t, f))
	}
	return all
}

// TestScripts plays every script and holds each exchange to openapi.yaml.
func TestScripts(t *testing.T) {
	t.Parallel()
	on := externalTarget(t)
	if on == nil {
		s := startServer(t, nil)
		native := s.target()
		on = &native
	}
	spec := newContract(t)
	for _, s := range readScripts(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			p := &player{people: newPeople(*on), contract: spec, vars: map[string]string{}}
			for _, e := range s.exchanges {
				p.play(t, e)
			}
		})
	}
}

func externalTarget(t *testing.T) *target {
	t.Helper()
	base := os.Getenv("LEGER_TEST_URL")
	if base == "" {
		return nil
	}
	shared := os.Getenv("LEGER_TEST_JWT_SECRET")
	secret, err := token.ParseSecret([]byte(shared))
	must(t, err)
	return &target{
		base: strings.TrimSuffix(base, "/"), secret: secret, shared: shared,
		operator: func(*testing.T) string { return os.Getenv("LEGER_TEST_OPERATOR") },
	}
}

// player plays one script.
type player struct {
	*people
	contract *contract
	vars     map[string]string
}

func (p *player) play(t *testing.T, e exchange) {
	t.Helper()
	at := fmt.Sprintf("line %d: %s> %s %s", e.line, e.caller, e.method, e.path)
	for _, who := range []string{"alice", "bob"} {
		id := p.identity(t, who)
		p.vars[who+".uuid"], p.vars[who+".tsid"] = id.UserID().String(), id.TailscaleUserID.String()
	}
	r, body, res := p.exchange(t, at, e)
	for res.status == http.StatusTooManyRequests && e.status != res.status {
		waitAsTold(t, res) // a server that is not of this test has limits of its own
		r, body, res = p.exchange(t, at, e)
	}
	if res.status != e.status {
		t.Fatalf("%s: status %d, want %d: %s", at, res.status, e.status, res.body)
	}
	p.contract.check(t, at, r, body, res)
	p.checkAlways(t, at, e, res)
	p.checkHeaders(t, at, e, res)
	if e.want != "" {
		m := matcher{vars: p.vars}
		if err := m.json(p.expand(t, e.want), string(res.body)); err != nil {
			t.Fatalf("%s: %v\n got: %s\nwant: %s", at, err, res.body, e.want)
		}
	}
}

// exchange sends a script's request.
func (p *player) exchange(t *testing.T, at string, e exchange) (sent *http.Request, body string, res answer) {
	t.Helper()
	body = p.expand(t, e.body)
	r, err := http.NewRequestWithContext(t.Context(), e.method, p.base+p.expand(t, e.path), strings.NewReader(body))
	must(t, err)
	if body == "" {
		r.Body, r.GetBody = http.NoBody, nil
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range e.header {
		r.Header.Set(h[0], p.expand(t, h[1]))
		if h[1] == "none" {
			r.Header.Del(h[0])
		}
	}
	if r.Header.Get("Authorization") == "" {
		p.authorize(t, e.caller, r)
	}
	res, err = roundTrip(r)
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	return r, body, res
}

// waitAsTold waits for the time that Retry-After gives.
func waitAsTold(t *testing.T, res answer) {
	t.Helper()
	seconds, err := strconv.Atoi(res.header.Get("Retry-After"))
	if err != nil {
		t.Fatalf("429 with Retry-After %q", res.header.Get("Retry-After"))
	}
	select {
	case <-t.Context().Done():
	case <-time.After(time.Duration(seconds) * time.Second):
	}
}

// checkAlways holds an answer to what is true of every route.
func (p *player) checkAlways(t *testing.T, at string, e exchange, res answer) {
	t.Helper()
	requestID := res.header.Get("X-Request-Id")
	if requestID == "" {
		t.Errorf("%s: no X-Request-Id", at)
	}
	for name, want := range httpapi.SecurityHeaders(strings.HasPrefix(p.base, "https://")) {
		if got := res.header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", at, name, got, want)
		}
	}
	cache := "no-store"
	if res.header.Get("ETag") != "" && !strings.Contains(e.path, "include_values=true") {
		cache = "private, no-cache"
	}
	if e.path == "/api/auth/methods" && e.status == http.StatusOK {
		cache = "public, max-age=300"
	}
	if got := res.header.Get("Cache-Control"); got != cache {
		t.Errorf("%s: Cache-Control is %q, want %q", at, got, cache)
	}
	for name := range res.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: has %s, though the API is for one origin", at, name)
		}
	}
	if e.status < 400 || (e.code == "" && e.want != "") || e.method == http.MethodHead {
		return
	}
	if e.code == "" {
		t.Fatalf("%s: the script names no error code", at)
	}
	want := fmt.Sprintf(`{"success":false,"error":{"code":%q,"message":"<text>","request_id":%q`, e.code, requestID)
	if e.field != "" {
		want += fmt.Sprintf(`,"field":%q`, e.field)
	}
	m := matcher{vars: p.vars, mayHave: []string{"hint", "current_version", "retry_after"}}
	if err := m.json(want+"}}", string(res.body)); err != nil {
		t.Fatalf("%s: %v: %s", at, err, res.body)
	}
}

func (p *player) checkHeaders(t *testing.T, at string, e exchange, res answer) {
	t.Helper()
	for _, h := range e.wantHeader {
		got := strings.Join(res.header.Values(h[0]), " | ")
		if h[1] == "-" {
			if got != "" {
				t.Errorf("%s: has %s: %s", at, h[0], got)
			}
			continue
		}
		m := matcher{vars: p.vars}
		if err := m.text(p.expand(t, h[1]), got); err != nil {
			t.Errorf("%s: %s: %v", at, h[0], err)
		}
	}
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand replaces ${…}.
func (p *player) expand(t *testing.T, s string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(s, func(found string) string {
		name := variable.FindStringSubmatch(found)[1]
		if unit, times, ok := strings.Cut(name, "*"); ok {
			n, err := strconv.Atoi(times)
			must(t, err)
			return strings.Repeat(unit, n)
		}
		if name == "origin" {
			return p.base
		}
		if label, ok := strings.CutPrefix(name, "machine:"); ok {
			return p.machine(t, label).id
		}
		if label, ok := strings.CutPrefix(name, "key:"); ok {
			return p.machine(t, label).publicKey()
		}
		if digits, ok := strings.CutPrefix(name, "hex:"); ok {
			var raw []byte
			for pair := range slices.Chunk([]byte(digits), 2) {
				n, err := strconv.ParseUint(string(pair), 16, 8)
				must(t, err)
				raw = append(raw, byte(n))
			}
			return string(raw)
		}
		value, ok := p.vars[name]
		if !ok {
			t.Fatalf("no exchange before gave ${%s}", name)
		}
		return value
	})
}
