package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Clients of the soak: those that behave, those that take their time, and those that go
// away in the middle.
const (
	soakSteady  = 120
	soakSlow    = 40
	soakAborted = 40
	soakSecrets = 50
)

// soak is a server under load, and what it was like meanwhile.
type soak struct {
	*server
	bearer string
	host   string
	began  time.Time

	mu    sync.Mutex
	took  []timed
	wrong int
	notes []string
}

// timed is one request of a steady client.
type timed struct {
	at, took time.Duration // at: since the beginning
}

// usage is what the server's process holds at a moment.
type usage struct{ resident, descriptors, threads int }

// TestSoak: 200 clients, slow and aborted ones among them, do not make the server grow or
// slow down. LEGER_SOAK says for how long (make soak: 30m); the time of answers is compared
// from two minutes on.
func TestSoak(t *testing.T) { //nolint:paralleltest // it measures
	length := 3 * time.Second
	if text := os.Getenv("LEGER_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	srv := start(t, filepath.Join(t.TempDir(), "data"), nil)
	c := srv.client()
	for i := range soakSecrets {
		set(t, c, fmt.Sprintf("s%d", i), strings.Repeat("v", 4000))
	}
	s := &soak{server: srv, bearer: srv.token(), host: strings.TrimPrefix(srv.url, "http://"), began: time.Now()}
	samples := s.run(t, length)
	s.checkUsage(t, samples)
	if window := min(time.Minute, length/2); length >= 2*time.Minute {
		s.checkLatency(t, length, window)
	}
	if s.wrong > 0 {
		t.Errorf("%d requests of steady clients went wrong: %v", s.wrong, s.notes)
	}
	s.checkGoroutines(t)
}

// run lets all clients loose, and looks at the server meanwhile.
func (s *soak) run(t *testing.T, length time.Duration) (samples []usage) {
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var group sync.WaitGroup
	for kind, clients := range []struct {
		n    int
		does func(context.Context, *rand.Rand)
	}{{soakSteady, s.steady}, {soakSlow, s.slow}, {soakAborted, s.aborted}} {
		for i := range clients.n {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(kind), uint64(i)))
				for ctx.Err() == nil {
					clients.does(ctx, random)
				}
			})
		}
	}
	tick := time.NewTicker(max(length/200, 50*time.Millisecond))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			samples = append(samples, s.usage(t))
		}
	}
	group.Wait()
	return samples
}

// pause waits a moment, or until it is over.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// steady asks as the page and the command do, about twice a second.
func (s *soak) steady(ctx context.Context, random *rand.Rand) {
	pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond)
	method, path, body := http.MethodGet, "/api/secrets", ""
	switch n := random.IntN(20); {
	case n < 10:
		path = fmt.Sprintf("/api/secrets/s%d", random.IntN(soakSecrets))
	case n < 12:
		path = "/api/secrets?include_values=true"
	case n < 13:
		method, path = http.MethodPost, fmt.Sprintf("/api/secrets/s%d", random.IntN(soakSecrets))
		body = fmt.Sprintf(`{"value":"%d"}`, random.Int64())
	}
	begun := time.Now()
	err := s.ask(ctx, method, path, body)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, timed{begun.Sub(s.began), time.Since(begun)})
	if err != nil {
		if s.wrong++; len(s.notes) < 5 {
			s.notes = append(s.notes, err.Error())
		}
	}
}

func (s *soak) ask(ctx context.Context, method, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.bearer)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	_ = res.Body.Close()
	return err
}

// conn connects, and sends the beginning of a request.
func (s *soak) conn(ctx context.Context, request string) net.Conn {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.host)
	if err != nil {
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, request)
	return conn
}

func (s *soak) head(line string) string {
	return line + " HTTP/1.1\r\nHost: " + s.host + "\r\nAuthorization: Bearer " + s.bearer + "\r\nConnection: close\r\n"
}

// slow sends a body drop by drop, or reads an answer so.
func (s *soak) slow(ctx context.Context, random *rand.Rand) {
	if random.IntN(2) == 0 {
		conn := s.conn(ctx, s.head("GET /api/secrets?include_values=true")+"\r\n")
		if conn == nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for b := make([]byte, 4096); ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
			if _, err := conn.Read(b); err != nil {
				return
			}
		}
		return
	}
	body := `{"value":"` + strings.Repeat("x", 20) + `"}`
	conn := s.conn(ctx, s.head("POST /api/secrets/slow")+
		fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body)))
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	for i := range len(body) {
		if _, err := conn.Write([]byte{body[i]}); err != nil {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	_, _ = io.Copy(io.Discard, conn)
}

// aborted goes away before it has asked, or before it is answered.
func (s *soak) aborted(ctx context.Context, random *rand.Rand) {
	whole := s.head("GET /api/secrets?include_values=true") + "\r\n"
	conn := s.conn(ctx, whole[:1+random.IntN(len(whole))])
	if conn == nil {
		return
	}
	pause(ctx, time.Duration(random.IntN(500))*time.Millisecond)
	if tcp, ok := conn.(*net.TCPConn); ok && random.IntN(2) == 0 {
		_ = tcp.SetLinger(0) // a reset
	}
	_ = conn.Close()
}

// usage looks at the server's process; its descriptors only root may count.
func (s *soak) usage(t *testing.T) (u usage) {
	t.Helper()
	for line := range strings.Lines(s.status()) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &u.resident)
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.threads)
	}
	if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)); err == nil {
		u.descriptors = len(open)
	}
	return u
}

// checkUsage compares the last fifth with the second one: the first is for warming up.
func (s *soak) checkUsage(t *testing.T, samples []usage) {
	t.Helper()
	fifth := len(samples) / 5
	if fifth == 0 {
		t.Fatalf("only %d samples", len(samples))
	}
	for what, f := range map[string]struct {
		of   func(usage) int
		more int // that is no growth
	}{
		"resident KiB": {func(u usage) int { return u.resident }, 16 << 10},
		"descriptors":  {func(u usage) int { return u.descriptors }, 30},
		"threads":      {func(u usage) int { return u.threads }, 8},
	} {
		median := func(part []usage) int {
			all := make([]int, len(part))
			for i, u := range part {
				all[i] = f.of(u)
			}
			slices.Sort(all)
			return all[len(all)/2]
		}
		early, late := median(samples[fifth:2*fifth]), median(samples[len(samples)-fifth:])
		t.Logf("%s: %d, at the end %d", what, early, late)
		if late > early+early/10+f.more {
			t.Errorf("%s grew from %d to %d", what, early, late)
		}
	}
}

// checkLatency compares the 99th percentiles of the first and the last window.
func (s *soak) checkLatency(t *testing.T, length, window time.Duration) {
	t.Helper()
	p99 := func(from, to time.Duration) time.Duration {
		var part []time.Duration
		for _, one := range s.took {
			if one.at >= from && one.at < to {
				part = append(part, one.took)
			}
		}
		if len(part) < 100 {
			t.Fatalf("only %d requests from %v to %v", len(part), from, to)
		}
		slices.Sort(part)
		return part[len(part)*99/100]
	}
	for from := time.Duration(0); from < length; from += length / 12 {
		t.Logf("from %v: 99th percentile %v", from, p99(from, from+length/12))
	}
	first, last := p99(0, window), p99(length-window, length)
	t.Logf("%d requests; 99th percentile of the first %v: %v, of the last: %v", len(s.took), window, first, last)
	if last > first*3/2 {
		t.Errorf("the 99th percentile went from %v to %v", first, last)
	}
}

// checkGoroutines ends the server with SIGQUIT, by which Go prints every goroutine, once
// no client is left; a server that was asked once has as many.
func (s *soak) checkGoroutines(t *testing.T) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	fresh := start(t, filepath.Join(t.TempDir(), "fresh"), nil)
	_ = fresh.client()
	http.DefaultClient.CloseIdleConnections()
	want, got := fresh.goroutines(), s.goroutines()
	t.Logf("goroutines: %d, of a fresh server %d", got, want)
	if got > want+10 {
		t.Errorf("%d goroutines are left, a fresh server has %d", got, want)
	}
}

// goroutines waits until the server has closed its side of the clients' connections, and
// ends it.
func (s *server) goroutines() (n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	for ctx.Err() == nil && established(s.t, s.url) > 0 {
		pause(ctx, 20*time.Millisecond)
	}
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
	lines := bufio.NewScanner(bytes.NewReader([]byte(s.output())))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "goroutine ") && strings.Contains(lines.Text(), "[") {
			n++
		}
	}
	return n
}

// established counts the connections to a server that are open.
func established(t *testing.T, url string) (n int) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if _, err := fmt.Sscanf(port, "%d", &number); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) && f[3] == "01" {
			n++
		}
	}
	return n
}
