package httpapi_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/api"
	"leger.run/leger/internal/httpapi"
)

// clock is a time that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time             { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration)    { c.ahead.Add(int64(d)) }
func (c *clock) set(conf *httpapi.Config)   { conf.Now, conf.Vault.Now = c.now, c.now }
func (c *clock) start(t *testing.T) *server { return startServer(t, c.set) }

// panicking panics with its value wherever an account is looked up.
type panicking struct {
	httpapi.Stores
	value any
}

func (p panicking) TokenUser(context.Context, leger.UserID, string) (leger.User, bool, error) {
	panic(p.value)
}

// A panic is a 500 like any other to the client, and a line in the log that has
// the stack but not the panic's value, which could hold a secret.
func TestPanicIsAnInternalErrorWithoutItsValue(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"text": "canary-panic", "error": errors.New("canary-panic"), "bytes": []byte("canary-panic"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, func(c *httpapi.Config) { c.Stores = panicking{c.Stores, value} })
			p := newPeople(s.target())
			res := p.send(t, http.MethodGet, "/api/user", "", p.tokenOf(t, "alice", ""))
			code, id := failure(t, res)
			if res.status != http.StatusInternalServerError || code != leger.CodeInternal || id != res.header.Get("X-Request-Id") {
				t.Errorf("status %d, code %s, request id %q, header %q", res.status, code, id, res.header.Get("X-Request-Id"))
			}
			log := s.log.String()
			if strings.Contains(log, "canary-panic") || strings.Contains(string(res.body), "canary-panic") {
				t.Error("the panic's value is in the log or in the answer")
			}
			if !strings.Contains(log, id) || !strings.Contains(log, "panicking.TokenUser") {
				t.Errorf("the log has no stack under the request id %s:\n%s", id, log)
			}
		})
	}
}

// Half an answer must not look like a whole one.
func TestPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *httpapi.Config) {
		c.Web = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half an ans")
			_ = http.NewResponseController(w).Flush()
			panic("canary-panic")
		})
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/page", nil)
	must(t, err)
	if res, err := roundTrip(r); err == nil {
		t.Errorf("the answer looks whole: %d %q", res.status, res.body)
	}
	if strings.Contains(s.log.String(), "canary-panic") {
		t.Error("the panic's value is in the log")
	}
}

func TestStorageThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	s := tailnetServer(t, map[string]leger.Peer{"alice": personAt(123, "alice@github", "nAlice")}, func(c *httpapi.Config) {
		c.Auth = append(c.Auth, leger.SignInSharedSecret)
	})
	spec, p := newContract(t), newPeople(s.target())
	p.token(t, "alice")
	must(t, s.store.Close())
	for _, route := range s.api.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if path == "/health" || path == "/api/openapi.yaml" || path == "/api/auth/methods" {
			continue
		}
		path = strings.NewReplacer("{name}", "key", "{id}", "00000000-0000-4000-8000-000000000000", "{device_id}", "nalice", "{code}", "BCDF-GHJK").Replace(path)
		// Without a credential these read the body before they ask the storage.
		body := map[string]string{
			"POST /api/enrolments":      (&testMachine{owner: "alice", name: "box", key: ed25519.NewKeyFromSeed(make([]byte, 32))}).enrolment(),
			"POST /api/enrolments:poll": `{"poll":"` + leger.PollPrefix + strings.Repeat("A", 43) + `"}`,
		}[route]
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		must(t, err)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		p.authorize(t, "alice", r)
		if strings.HasPrefix(path, "/api/operator/") { // what else is shown there is refused unread
			r.Header.Set("Authorization", "Bearer "+leger.OperatorPrefix+strings.Repeat("A", 43))
		}
		r.Header.Set("Test-Peer", "alice")
		res, err := roundTrip(r)
		must(t, err)
		if res.status != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want 503", route, res.status)
		}
		spec.check(t, route, r, body, res)
	}
	if res := p.send(t, http.MethodGet, "/health", "", ""); res.status != http.StatusOK {
		t.Errorf("GET /health: status %d: it must not ask the storage", res.status)
	}
}

// A value that does not open fails the whole list: a gap would look like a deletion.
func TestRecordThatDoesNotOpenIsInternal(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	for _, name := range []string{"good", "bad"} {
		data[struct{}](t, p.as(t, "alice", http.MethodPost, "/api/secrets/"+name, `{"value":"canary-value"}`))
	}
	s.exec(t, `UPDATE secret_versions SET nonce = 'AAAAAAAAAAAAAAAA' WHERE name = 'bad'`)
	for _, path := range []string{"/api/secrets?include_values=true", "/api/secrets/bad"} {
		res := p.as(t, "alice", http.MethodGet, path, "")
		if code, _ := failure(t, res); res.status != http.StatusInternalServerError || code != leger.CodeInternal {
			t.Errorf("%s: status %d, code %s", path, res.status, code)
		}
	}
	data[struct{}](t, p.as(t, "alice", http.MethodGet, "/api/secrets/good", ""))
	// Its owner mends it by writing it anew, even with the value it had.
	data[struct{}](t, p.as(t, "alice", http.MethodPost, "/api/secrets/bad", `{"value":"canary-value"}`))
	data[struct{}](t, p.as(t, "alice", http.MethodGet, "/api/secrets?include_values=true", ""))
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	c := &clock{}
	s := startServer(t, func(conf *httpapi.Config) {
		c.set(conf)
		conf.Requests = httpapi.NewTokenBuckets(c.now, 0.001, 5) // a token in 1,000 s
		conf.Refusals = httpapi.NewTokenBuckets(c.now, 0.001, 3)
	})
	p := newPeople(s.target())
	alice, bob := p.token(t, "alice"), p.token(t, "bob")
	spec := newContract(t)
	get := func(bearer string) (answer, *http.Request) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/user", http.NoBody)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+bearer)
		res, err := roundTrip(r)
		must(t, err)
		return res, r
	}
	limited := func(bearer string) {
		t.Helper()
		res, r := get(bearer)
		spec.check(t, "limited", r, "", res)
		wait, err := strconv.Atoi(res.header.Get("Retry-After"))
		if code, _ := failure(t, res); res.status != http.StatusTooManyRequests || code != leger.CodeRateLimited || err != nil || wait < 1 || wait > 1000 {
			t.Errorf("status %d, code %s, Retry-After %q", res.status, code, res.header.Get("Retry-After"))
		}
	}
	for i := range 5 {
		if res, _ := get(alice); res.status != http.StatusOK {
			t.Fatalf("request %d of 5: status %d", i+1, res.status)
		}
	}
	limited(alice)
	if res, _ := get(bob); res.status != http.StatusOK { // each user has their own
		t.Errorf("bob: status %d", res.status)
	}
	for range 3 {
		if res, _ := get("wrong"); res.status != http.StatusUnauthorized {
			t.Fatalf("a wrong token: status %d", res.status)
		}
	}
	limited("wrong")
	c.advance(1001 * time.Second)
	if res, _ := get(alice); res.status != http.StatusOK {
		t.Errorf("after the time Retry-After gave: status %d", res.status)
	}
}

// Who has a network of IPv6 to choose addresses from has the guesses of one address.
func TestGuessesCountForAWholeNetwork(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(conf *httpapi.Config) {
		conf.Refusals = httpapi.NewTokenBuckets(conf.Now, 0.001, 1)
	})
	status := func(from string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/user", http.NoBody)
		r.RemoteAddr = from
		r.Header.Set("Authorization", "Bearer wrong")
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		from string
		want int
	}{
		{"[2001:db8:1:2::1]:1", 401},
		{"[2001:db8:1:2:ffff::2]:1", 429}, // the same /64
		{"[2001:db8:1:3::1]:1", 401},
		{"192.0.2.1:1", 401},
		{"192.0.2.2:1", 401},
		{"[fd7a:115c:a1e0::1]:1", 401}, // two machines of a tailnet
		{"[fd7a:115c:a1e0::2]:1", 401},
		{"[fe80::1%eth0]:1", 401},
		{"[fe80::2%eth0]:1", 401},
	} {
		if got := status(c.from); got != c.want {
			t.Errorf("%s: status %d, want %d", c.from, got, c.want)
		}
	}
}

// A zone may be any text: with another one each time, nobody was slowed down.
func TestOneAddressHasOneLimit(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(conf *httpapi.Config) {
		conf.Refusals = httpapi.NewTokenBuckets(conf.Now, 0.001, 1)
	})
	let := 0
	for i := range 60 {
		for _, spelled := range []string{fmt.Sprintf("fe80::1%%%d", i), fmt.Sprintf("[fe80::1]:%d", i+1), "FE80:" + strings.Repeat("0:", 1+i%5) + ":1"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/user", http.NoBody)
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("Authorization", "Bearer wrong")
			r.Header.Set("X-Forwarded-For", spelled)
			w := httptest.NewRecorder()
			s.api.ServeHTTP(w, r)
			if w.Code != http.StatusTooManyRequests {
				let++
			}
		}
	}
	if let != 1 {
		t.Errorf("%d guesses of one address came through, want 1", let)
	}
}

// Where nobody is proved yet, an address has the requests of one user, whatever it asks.
func TestRequestsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(conf *httpapi.Config) {
		conf.Requests = httpapi.NewTokenBuckets(conf.Now, 0.001, 4)
	})
	for i, path := range []string{
		"/api/auth/validate", "/api/auth/tailnet", "/api/enrolments", "/api/enrolments:poll",
		"/api/auth/validate", "/api/auth/tailnet", "/api/enrolments", "/api/enrolments:poll",
		"/api/operator/invitations", "/api/operator/rekey",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, http.NoBody)
		r.RemoteAddr = "192.0.2.1:1"
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		if limited := w.Code == http.StatusTooManyRequests; limited != (i >= 4) {
			t.Errorf("request %d, %s: status %d", i+1, path, w.Code)
		}
	}
}

// Whoever sends an X-Forwarded-For does not choose the address it is known by: the
// proxy's word comes last, in the same line or, as HAProxy does it, in the next.
func TestForwardedForIsTheProxysWord(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	for name, tc := range map[string]struct {
		remote string
		lines  []string
		want   string
	}{
		"direct":                  {"192.0.2.7:1234", nil, "192.0.2.7"},
		"direct, pretending":      {"192.0.2.7:1234", []string{"198.51.100.1"}, "192.0.2.7"},
		"proxy":                   {"127.0.0.1:1234", []string{"192.0.2.7"}, "192.0.2.7"},
		"proxy, pretending":       {"127.0.0.1:1234", []string{"198.51.100.1, 192.0.2.7"}, "192.0.2.7"},
		"proxy of another line":   {"127.0.0.1:1234", []string{"198.51.100.1", "192.0.2.7"}, "192.0.2.7"},
		"proxy over IPv6":         {"[::1]:1234", []string{"2001:db8::7"}, "2001:db8::7"},
		"proxy that says nothing": {"127.0.0.1:1234", nil, "127.0.0.1"},
		"proxy that says rubbish": {"127.0.0.1:1234", []string{"unknown"}, "127.0.0.1"},
		"proxy with a port":       {"127.0.0.1:1234", []string{"192.0.2.7:5678"}, "192.0.2.7"},
		"proxy with a port, IPv6": {"127.0.0.1:1234", []string{"[2001:db8::7]:5678"}, "2001:db8::7"},
		"proxy with brackets":     {"127.0.0.1:1234", []string{"[2001:db8::7]"}, "2001:db8::7"},
		"proxy over mapped IPv4":  {"[::ffff:127.0.0.1]:1234", []string{"192.0.2.7"}, "192.0.2.7"},
		"mapped IPv4":             {"127.0.0.1:1234", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		"mapped IPv4 in hex":      {"127.0.0.1:1234", []string{"0:0:0::FFFF:c000:207"}, "192.0.2.7"},
		"mapped IPv4, direct":     {"[::ffff:192.0.2.7]:1234", nil, "192.0.2.7"},
		"a zone":                  {"127.0.0.1:1234", []string{"fe80::1%anything"}, "fe80::1"},
		"a zone, direct":          {"[fe80::1%eth0]:1234", nil, "fe80::1"},
		"a zone where none is":    {"127.0.0.1:1234", []string{"2001:db8::7%x"}, "2001:db8::7"},
		"zeros and capitals":      {"127.0.0.1:1234", []string{"2001:0DB8:0:0::0007"}, "2001:db8::7"},
		"zeros before IPv4":       {"127.0.0.1:1234", []string{"192.000.02.007"}, "127.0.0.1"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/nothing", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tc.remote, tc.lines
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		if got := s.logged(t, w.Header().Get("X-Request-Id"))["remote"]; got != tc.want {
			t.Errorf("%s: known as %q, want %q", name, got, tc.want)
		}
	}
}

// A sign-in link that many open at the same moment signs exactly one in.
func TestLinkOpenedByManyAtOnceSignsOneIn(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	link := p.tokenOf(t, "alice", "link")
	var signedIn atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/auth/validate", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+link)
			res, err := roundTrip(r)
			switch {
			case err != nil:
				t.Error(err)
			case res.status == http.StatusOK:
				signedIn.Add(1)
			case res.status != http.StatusUnauthorized:
				t.Errorf("status %d: %s", res.status, res.body)
			}
		})
	}
	wg.Wait()
	if n := signedIn.Load(); n != 1 {
		t.Errorf("%d browsers are signed in", n)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	status := func(t *testing.T, p *people) int {
		t.Helper()
		return p.as(t, "alice@browser", http.MethodGet, "/api/user", "").status
	}
	t.Run("after 12 hours without a request", func(t *testing.T) {
		t.Parallel()
		c := &clock{}
		p := newPeople(c.start(t).target())
		for range 3 { // each request starts the time anew
			if got := status(t, p); got != http.StatusOK {
				t.Fatalf("status %d", got)
			}
			c.advance(leger.SessionIdle - time.Minute)
		}
		c.advance(2 * time.Minute)
		if got := status(t, p); got != http.StatusUnauthorized {
			t.Errorf("status %d after idling", got)
		}
	})
	t.Run("30 days after sign-in", func(t *testing.T) {
		t.Parallel()
		c := &clock{}
		p := newPeople(c.start(t).target())
		for began := c.now(); c.now().Before(began.Add(leger.SessionAbsolute - 11*time.Hour)); c.advance(11 * time.Hour) {
			if got := status(t, p); got != http.StatusOK {
				t.Fatalf("status %d %s after sign-in", got, c.now().Sub(began))
			}
		}
		c.advance(11 * time.Hour)
		if got := status(t, p); got != http.StatusUnauthorized {
			t.Errorf("status %d after 30 days", got)
		}
	})
}

// failing says the storage is away when users are counted.
type failing struct{ httpapi.Stores }

func (failing) CountUsers(context.Context) (int, error) { return 0, leger.ErrUnavailable }

// The count is for a warning in the log; by then the link is used up, so a failure
// would leave the browser without any way in.
func TestSignInOutlivesAFailedCount(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *httpapi.Config) { c.Stores = failing{c.Stores} })
	newPeople(s.target()).signIn(t, "alice")
}

func TestSecondUserIsWarnedOf(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	p.token(t, "alice")
	if strings.Contains(s.log.String(), "more than one user") {
		t.Error("warned of the first user")
	}
	p.token(t, "bob")
	if !strings.Contains(s.log.String(), "more than one user") {
		t.Error("the log does not warn of the second user")
	}
}

// One account holds 1,000 secrets, and a dry run says so beforehand.
func TestTooManySecrets(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	batch := func(from, to int, dry bool) answer {
		var b strings.Builder
		for i := from; i < to; i++ {
			b.WriteString(`,{"name":"k` + strconv.Itoa(i) + `","value":"v"}`)
		}
		return p.as(t, "alice", http.MethodPost, "/api/secrets:batch",
			`{"dry_run":`+strconv.FormatBool(dry)+`,"secrets":[`+b.String()[1:]+`]}`)
	}
	data[struct{}](t, batch(0, 998, false))
	for _, dry := range []bool{true, false} {
		if code, _ := failure(t, batch(998, 1001, dry)); code != leger.CodeConflict {
			t.Errorf("two too many, dry run %t: %s", dry, code)
		}
		data[struct{}](t, batch(998, 1000, dry))
	}
	res := p.as(t, "alice", http.MethodPost, "/api/secrets/one_more", `{"value":"v"}`)
	if code, _ := failure(t, res); code != leger.CodeConflict {
		t.Errorf("the 1,001st secret: %s", code)
	}
	list := data[struct{ Secrets []json.RawMessage }](t, p.as(t, "alice", http.MethodGet, "/api/secrets", ""))
	if len(list.Secrets) != 1000 {
		t.Errorf("%d secrets are there", len(list.Secrets))
	}
}

// One account has 100 machines; those that are known go on reporting.
func TestTooManyHosts(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	spec, p := newContract(t), newPeople(s.target())
	put := func(device string) answer {
		const body = `{"name":"box"}`
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/api/hosts/"+device, strings.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		p.authorize(t, "alice/spec", r)
		res, err := roundTrip(r)
		must(t, err)
		spec.check(t, device, r, body, res)
		return res
	}
	p.token(t, "alice")
	for i := range leger.MaxHostsPerUser {
		data[struct{}](t, put("n"+strconv.Itoa(i)))
	}
	if code, _ := failure(t, put("extra")); code != leger.CodeConflict {
		t.Errorf("the 101st machine: %s", code)
	}
	data[struct{}](t, put("n0"))
	data[struct{}](t, p.as(t, "alice", http.MethodDelete, "/api/hosts/n0", ""))
	data[struct{}](t, put("extra"))
}

func TestPublicURLMustBeAnOrigin(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "leger.example", "ftp://leger.example", "https://leger.example/app", "https://u@leger.example", "https://"} {
		_, err := httpapi.New(httpapi.Config{PublicURL: bad})
		if !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Over https the cookie has the prefix that keeps other hosts from setting it.
func TestCookieOverHTTPS(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(c *httpapi.Config) { c.PublicURL = "https://leger.example.ts.net" })
	c := newPeople(s.target()).signIn(t, "alice")
	if c.Name != "__Host-leger_session" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	if len(c.Value) < 43 { // 256 bits in base64
		t.Errorf("the session id has %d characters", len(c.Value))
	}
}

func TestUnlimitedAllows(t *testing.T) {
	t.Parallel()
	if ok, wait := (httpapi.Unlimited{}).Allow(t.Context(), "x"); !ok || wait != 0 {
		t.Error("refused")
	}
}

// The buckets' memory is bounded, however many addresses come.
func TestTokenBucketsForget(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := httpapi.NewTokenBuckets(func() time.Time { return now }, 1, 1)
	if ok, _ := b.Allow(t.Context(), "first"); !ok {
		t.Fatal("the first is refused")
	}
	if ok, wait := b.Allow(t.Context(), "first"); ok || wait <= 0 || wait > time.Second {
		t.Fatalf("the second at once: %t, wait %s", ok, wait)
	}
	now = now.Add(time.Second)
	for i := range 40_000 { // more than are remembered
		if ok, _ := b.Allow(t.Context(), strconv.Itoa(i)); !ok {
			t.Fatalf("address %d is refused at its first request", i)
		}
	}
}

// A list that has not changed is answered from names and versions alone: a value
// that cannot be opened does not matter, and no read is recorded.
func TestUnchangedListOpensNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	data[struct{}](t, p.as(t, "alice", http.MethodPost, "/api/secrets/key", `{"value":"v"}`))
	const path = "/api/secrets?include_values=true"
	etag := p.as(t, "alice", http.MethodGet, path, "").header.Get("ETag")
	s.exec(t, `UPDATE secret_versions SET nonce = 'AAAAAAAAAAAAAAAA'`)
	before := s.allAudit(t.Context(), t, p.identity(t, "alice").UserID())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, http.NoBody)
	must(t, err)
	p.authorize(t, "alice", r)
	r.Header.Set("If-None-Match", etag)
	res, err := roundTrip(r)
	must(t, err)
	if res.status != http.StatusNotModified || len(res.body) > 0 {
		t.Errorf("status %d: %s", res.status, res.body)
	}
	if after := s.allAudit(t.Context(), t, p.identity(t, "alice").UserID()); len(after) != len(before) {
		t.Errorf("recorded %+v", after[0])
	}
}

func TestContractIsServedAsItIs(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	res := newPeople(s.target()).send(t, http.MethodGet, "/api/openapi.yaml", "", "")
	if !bytes.Equal(res.body, api.OpenAPI) {
		t.Errorf("%d bytes, want the %d of the file", len(res.body), len(api.OpenAPI))
	}
}
