//go:build e2e

package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leger.run/leger/e2e/workerd"
)

// The load, and what the Worker's instance may hold under it.
const (
	stressRequests = 10_000
	stressClients  = 50
	stressPanics   = 2
	mostWasm       = 64 << 20
	bodyLimit      = 512 << 10
	largestValue   = 64 << 10
)

// TestStress: 10,000 requests from 50 clients at once, reads, writes, clients that
// go away, sleeps, two panics, and 50 bodies at the limit at once. Nothing fails but
// the two panics; the instance stays small; and afterwards the API lists what it
// acknowledged.
func TestStress(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	w := startWorker(t, k, func(c *workerd.Config) { c.Dir = worker + "/build/test" })
	runStress(t, newCaller(t, w.URL, k, "alice@example.com"), k, true)
	if rss, err := w.Memory(); err == nil {
		t.Logf("workerd as a whole holds %d MB", rss>>20)
	}
}

// TestStressNative puts the same load on leger-server, which has no test routes.
func TestStressNative(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	runStress(t, newCaller(t, startNative(t, k), k, "alice@example.com"), k, false)
}

// stress is one run.
type stress struct {
	t          *testing.T
	k          keys
	api        *caller
	testRoutes bool // POST /test/sleep?ms=, POST /test/panic, GET /test/memory

	ledger  ledger
	sent    atomic.Int64 // requests
	aborted atomic.Int64 // of them, those whose client went away
	panics  atomic.Int64 // that were answered as one
	memory  atomic.Int64 // the most that the instance held
}

// ledger is what was sent and what was acknowledged.
type ledger struct {
	mu           sync.Mutex
	acknowledged map[string]map[int64]string // secret → version → value
	sent         map[string]map[string]bool  // secret → values, acknowledged or not
}

func (l *ledger) send(name, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent[name] == nil {
		l.sent[name], l.acknowledged[name] = map[string]bool{}, map[int64]string{}
	}
	l.sent[name][value] = true
}

// acknowledge notes an answer. A version that two writers were given is a version
// that one of them lost.
func (l *ledger) acknowledge(name, value string, version int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, taken := l.acknowledged[name][version]; taken && old != value {
		return fmt.Errorf("%s version %d was acknowledged for two values", name, version)
	}
	l.acknowledged[name][version] = value
	return nil
}

func runStress(t *testing.T, api *caller, k keys, testRoutes bool) {
	t.Helper()
	s := &stress{t: t, k: k, api: api, testRoutes: testRoutes}
	s.ledger.acknowledged, s.ledger.sent = map[string]map[int64]string{}, map[string]map[string]bool{}
	api.signIn(t)
	began := time.Now()
	each := (stressRequests/stressClients - 3) / 2 // two halves, and between them two big requests and a sign-in
	for _, phase := range []struct {
		name string
		run  func()
	}{
		{"mixed", func() { s.mixed(0, each) }}, {"big bodies", s.bigBodies}, {"mixed again", func() { s.mixed(1, each+1) }},
	} {
		phase.run()
		t.Logf("%s: %d requests after %s", phase.name, s.sent.Load(), time.Since(began).Round(time.Millisecond))
	}
	took := time.Since(began)
	s.check()
	t.Logf("%d requests in %s, %d of them given up by the client; the instance held at most %.1f MB",
		s.sent.Load(), took.Round(time.Millisecond), s.aborted.Load(), float64(s.memory.Load())/(1<<20))
	if n := s.sent.Load(); n < stressRequests {
		t.Errorf("only %d requests were sent", n)
	}
	if s.aborted.Load() < stressRequests/100 {
		t.Errorf("only %d clients went away: that tested little", s.aborted.Load())
	}
	if testRoutes {
		if n := s.panics.Load(); n != stressPanics {
			t.Errorf("%d panics were answered, not %d", n, stressPanics)
		}
		if most := s.memory.Load(); most == 0 || most >= mostWasm {
			t.Errorf("the instance held %d bytes, not less than %d", most, mostWasm)
		}
	}
}

// mixed lets every client do the given number of things.
func (s *stress) mixed(round, each int) {
	var group sync.WaitGroup
	for client := range stressClients {
		group.Go(func() {
			c := &stressClient{stress: s, number: client, random: rand.New(rand.NewPCG(uint64(round), uint64(client))), round: round}
			c.expected = map[string]stored{}
			if round > 0 {
				c.resume()
			}
			for i := range each {
				c.act(i)
			}
		})
	}
	group.Wait()
}

// failed reports an answer that should have been a success.
func (s *stress) failed(what string, r result) bool {
	if r.err != nil || r.status != http.StatusOK {
		s.t.Errorf("%s: %s", what, r)
		return true
	}
	return false
}

// stressClient owns some secrets, whose state it knows exactly, shares others, and
// gives up on a third kind.
type stressClient struct {
	*stress
	number   int
	round    int
	random   *rand.Rand
	made     int
	expected map[string]stored // its own
}

func (c *stressClient) value() string {
	c.made++
	return fmt.Sprintf("round %d client %d value %d %s", c.round, c.number, c.made, strings.Repeat("x", c.random.IntN(2000)))
}

// resume reads what the round before left.
func (c *stressClient) resume() {
	all, err := c.api.secrets(c.t.Context())
	c.sent.Add(1)
	if err != nil {
		c.t.Errorf("list: %v", err)
		return
	}
	for name, s := range all {
		if strings.HasPrefix(name, fmt.Sprintf("own_%d_", c.number)) {
			c.expected[name] = s
		}
	}
}

func (c *stressClient) act(i int) {
	c.sent.Add(1)
	if c.testRoutes && c.round == 0 && c.number < stressPanics && i == 20 {
		c.panic()
		return
	}
	switch roll := c.random.IntN(100); {
	case roll < 30:
		c.writeOwn()
	case roll < 45:
		c.writeShared()
	case roll < 65:
		c.readOwn()
	case roll < 73:
		c.failed("list", c.api.call(c.t.Context(), http.MethodGet, "/api/secrets", "", ""))
	case roll < 78:
		c.failed("list with values", c.api.call(c.t.Context(), http.MethodGet, "/api/secrets?include_values=true", "", ""))
	case roll < 83:
		c.failed("audit", c.api.call(c.t.Context(), http.MethodGet, "/api/audit?limit=20", "", ""))
	case roll < 90:
		c.giveUp()
	case roll < 95 && c.testRoutes:
		c.failed("sleep", c.api.call(c.t.Context(), http.MethodPost, "/test/sleep?ms="+strconv.Itoa(c.random.IntN(200)), "", ""))
	case roll < 97 && c.testRoutes:
		c.measure()
	default:
		c.failed("health", c.api.call(c.t.Context(), http.MethodGet, "/health", "", ""))
	}
}

// writeOwn knows which version it meets and which it makes.
func (c *stressClient) writeOwn() {
	name, value := fmt.Sprintf("own_%d_%d", c.number, c.random.IntN(2)), c.value()
	old, exists := c.expected[name]
	match := ""
	if exists {
		match = strconv.Quote(strconv.FormatInt(old.Version, 10))
	}
	c.ledger.send(name, value)
	version, r := c.api.write(c.t.Context(), name, value, match)
	if c.failed("write "+name, r) {
		return
	}
	if version != old.Version+1 {
		c.t.Errorf("%s was at version %d, and its next is %d", name, old.Version, version)
	}
	c.expected[name] = stored{name, value, version}
	if err := c.ledger.acknowledge(name, value, version); err != nil {
		c.t.Error(err)
	}
}

// readOwn must see its own last write.
func (c *stressClient) readOwn() {
	for name, want := range c.expected {
		var got stored
		r := c.api.call(c.t.Context(), http.MethodGet, "/api/secrets/"+name, "", "")
		if c.failed("read "+name, r) {
			return
		}
		if err := r.data(&got); err != nil || got != want {
			c.t.Errorf("%s: version %d was acknowledged, version %d is read (same value: %t), %v", name, want.Version, got.Version, got.Value == want.Value, err)
		}
		return
	}
	c.failed("user", c.api.call(c.t.Context(), http.MethodGet, "/api/user", "", ""))
}

// writeShared competes with all other clients.
func (c *stressClient) writeShared() {
	name, value := fmt.Sprintf("shared_%d", c.random.IntN(5)), c.value()
	c.ledger.send(name, value)
	version, r := c.api.write(c.t.Context(), name, value, "")
	if c.failed("write "+name, r) {
		return
	}
	if err := c.ledger.acknowledge(name, value, version); err != nil {
		c.t.Error(err)
	}
}

// giveUp goes away somewhere on the way. A write may then be done or not, now or a
// moment later, so it goes to secrets that nobody else writes.
func (c *stressClient) giveUp() {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Duration(c.random.IntN(8000))*time.Microsecond)
	defer cancel()
	var r result
	switch c.random.IntN(3) {
	case 0:
		r = c.api.call(ctx, http.MethodGet, "/api/secrets?include_values=true", "", "")
	default:
		name, value := fmt.Sprintf("given_up_%d", c.number), c.value()
		c.ledger.send(name, value)
		var version int64
		if version, r = c.api.write(ctx, name, value, ""); r.err == nil && r.status == http.StatusOK {
			if err := c.ledger.acknowledge(name, value, version); err != nil {
				c.t.Error(err)
			}
		}
	}
	if ctx.Err() != nil {
		c.aborted.Add(1)
		return
	}
	c.failed("a request that was not given up", r)
}

// panic must fail alone, and say what any fault of the server says.
func (c *stressClient) panic() {
	r := c.api.call(c.t.Context(), http.MethodPost, "/test/panic", "", "")
	if r.err != nil || r.status != http.StatusInternalServerError || r.code() != "internal" {
		c.t.Errorf("a panic was answered with %s", r)
		return
	}
	c.panics.Add(1)
}

// measure notes how much the instance holds.
func (s *stress) measure() {
	r := s.api.call(s.t.Context(), http.MethodGet, "/test/memory", "", "")
	if s.failed("memory", r) {
		return
	}
	var out struct {
		WasmBytes int64 `json:"wasm_bytes"`
	}
	if err := json.Unmarshal(r.body, &out); err != nil || out.WasmBytes < 1<<20 {
		s.t.Errorf("the instance says it holds %d bytes, %v", out.WasmBytes, err)
	}
	for {
		most := s.memory.Load()
		if out.WasmBytes <= most || s.memory.CompareAndSwap(most, out.WasmBytes) {
			return
		}
	}
}

// bigBodies sends 50 bodies of exactly the limit at once, all to be written, then 50
// that are a byte longer.
func (s *stress) bigBodies() {
	var group sync.WaitGroup
	start := make(chan struct{})
	for client := range stressClients {
		who := s.api.as(s.t, s.k, fmt.Sprintf("big%d@example.com", client))
		who.signIn(s.t)
		group.Go(func() {
			body := bigBody(client)
			<-start
			s.sent.Add(3)
			r := who.call(s.t.Context(), http.MethodPost, "/api/secrets:batch", "", body)
			var out struct{ Applied bool }
			if err := r.data(&out); err != nil || !out.Applied {
				s.t.Errorf("a body of %d bytes: %s, %v", len(body), r, err)
			}
			if r := who.call(s.t.Context(), http.MethodPost, "/api/secrets:batch", "", body+" "); r.status != http.StatusRequestEntityTooLarge {
				s.t.Errorf("a body of %d bytes: %s", len(body)+1, r)
			}
		})
	}
	close(start)
	group.Wait()
	if s.testRoutes {
		s.measure()
	}
	for client := range stressClients {
		who := s.api.as(s.t, s.k, fmt.Sprintf("big%d@example.com", client))
		var got stored
		if err := who.call(s.t.Context(), http.MethodGet, "/api/secrets/big_6", "", "").data(&got); err != nil || got.Value != bigValue(client, 6) {
			s.t.Errorf("what client %d wrote is not there: %v", client, err)
		}
	}
}

func bigValue(client, i int) string {
	text := fmt.Sprintf("client %d value %d ", client, i)
	return text + strings.Repeat("x", largestValue-len(text))
}

// bigBody is a batch of seven of the largest values, filled up with space to the limit.
func bigBody(client int) string {
	items := make([]string, 7)
	for i := range items {
		items[i] = fmt.Sprintf(`{"name":"big_%d","value":"%s"}`, i, bigValue(client, i))
	}
	body := `{"secrets":[` + strings.Join(items, ",") + `]}`
	return body + strings.Repeat(" ", bodyLimit-len(body))
}

// check compares what the API lists with the ledger: what was acknowledged is there
// or was followed by something that was sent; nothing is there that nobody sent.
func (s *stress) check() {
	s.t.Helper()
	all, err := s.api.secrets(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for name, got := range all {
		if !s.ledger.sent[name][got.Value] {
			s.t.Errorf("%s holds a value that nobody sent", name)
		}
		if want, known := s.ledger.acknowledged[name][got.Version]; known && want != got.Value {
			s.t.Errorf("%s version %d holds another value than was acknowledged", name, got.Version)
		}
		if got.Version > int64(len(s.ledger.sent[name])) {
			s.t.Errorf("%s is at version %d after %d writes", name, got.Version, len(s.ledger.sent[name]))
		}
	}
	writes := 0
	for name, versions := range s.ledger.acknowledged {
		var newest int64
		for version := range versions {
			newest = max(newest, version)
		}
		writes += len(versions)
		got, exists := all[name]
		switch {
		case newest > 0 && !exists:
			s.t.Errorf("%s is gone; version %d was acknowledged", name, newest)
		case got.Version < newest:
			s.t.Errorf("%s is at version %d; %d was acknowledged", name, got.Version, newest)
		case !strings.HasPrefix(name, "given_up_") && got.Version != newest:
			s.t.Errorf("%s is at version %d, which was never acknowledged; %d was", name, got.Version, newest)
		}
	}
	if writes < stressRequests/5 {
		s.t.Errorf("only %d writes were acknowledged", writes)
	}
}
