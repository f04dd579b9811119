package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/killtest"
)

// Load of the crash test: 50 clients, half of them on one secret.
const (
	writers = 50
	shared  = "shared" // the secret that half of them write
)

// acknowledged is what the server said it had written: for each secret the
// highest version, and which value every version holds.
type acknowledged struct {
	mu      sync.Mutex
	newest  map[string]leger.Version
	checked map[string]leger.Version // newest at the last check
	values  map[string]map[leger.Version]string
}

// note records an answer. A version that two clients were given is a version
// that one of them lost.
func (a *acknowledged) note(t *testing.T, secret, value string, v leger.Version) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.values[secret] == nil {
		a.values[secret] = map[leger.Version]string{}
	}
	if old, taken := a.values[secret][v]; taken {
		t.Errorf("%s version %d was acknowledged for %s and for %s", secret, v, old, value)
	}
	a.values[secret][v] = value
	a.newest[secret] = max(a.newest[secret], v)
}

// TestKilledServerLosesNothingAcknowledged kills the server with SIGKILL at a random
// moment of a write load from 50 clients, many times, and checks after each start
// that everything it had acknowledged is there, and that versions go on without a
// gap or a repeat.
func TestKilledServerLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	crashes := killtest.Times(t, 40)
	data := filepath.Join(t.TempDir(), "data")
	ack := &acknowledged{newest: map[string]leger.Version{}, checked: map[string]leger.Version{}, values: map[string]map[leger.Version]string{}}
	const seed = 20251016
	random := rand.New(rand.NewPCG(seed, seed))
	for round := range crashes {
		s := start(t, data, nil)
		c := s.client()
		checkAcknowledged(t, c, ack)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		load(t, s, c, ack, round, time.Duration(20+random.IntN(100))*time.Millisecond)
		if round%20 == 19 { // the kills come between events and their links, too
			succeeds(t, "audit", "verify", "--data", data)
		}
	}
	c := start(t, data, nil).client()
	checkAcknowledged(t, c, ack)
	total := 0
	for _, versions := range ack.values {
		total += len(versions)
	}
	t.Logf("%d writes acknowledged over %d kills", total, crashes)
	if total < crashes {
		t.Errorf("only %d writes were acknowledged: this tested nothing", total)
	}
}

// load writes from all clients at once until the server is killed after d.
func load(t *testing.T, s *server, c *client.Client, ack *acknowledged, round int, d time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			secret := shared
			if w%2 == 1 {
				secret = fmt.Sprintf("own_%d", w)
			}
			n := name(t, secret)
			for i := 0; ctx.Err() == nil; i++ {
				value := fmt.Sprintf("round %d writer %d value %d", round, w, i)
				out, err := c.SetSecret(ctx, n, leger.NewPlaintext([]byte(value)), 0)
				if err != nil {
					return // the server is gone; nothing was acknowledged
				}
				ack.note(t, secret, value, out.Version)
			}
		})
	}
	killed := time.AfterFunc(d, func() {
		s.kill()
		cancel()
	})
	group.Wait()
	killed.Stop()
	s.kill()
}

// checkAcknowledged: the newest acknowledged version is there or has been
// followed by one whose answer the kill cut off; a version that was acknowledged
// holds the acknowledged value.
func checkAcknowledged(t *testing.T, c *client.Client, ack *acknowledged) {
	t.Helper()
	list, err := c.SecretValues(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, s := range list.Secrets {
		secret := s.Name.String()
		found[secret] = true
		if s.Version < ack.newest[secret] {
			t.Errorf("%s is at version %d, but %d was acknowledged", secret, s.Version, ack.newest[secret])
		}
		if want, known := ack.values[secret][s.Version]; known && want != *s.Value {
			t.Errorf("%s version %d holds %q, but %q was acknowledged", secret, s.Version, *s.Value, want)
		}
		checkNoGap(t, ack, secret, s.Version)
	}
	for secret := range ack.newest {
		if !found[secret] {
			t.Errorf("%s is gone", secret)
		}
	}
}

// checkNoGap: a client waits for its answer before it writes again, so of the
// versions made since the last kill at most one per client can lack an answer.
func checkNoGap(t *testing.T, ack *acknowledged, secret string, newest leger.Version) {
	t.Helper()
	clients := 1
	if secret == shared {
		clients = writers / 2
	}
	missing := 0
	for v := ack.checked[secret] + 1; v <= newest; v++ {
		if _, ok := ack.values[secret][v]; !ok {
			missing++
		}
	}
	if missing > clients {
		t.Errorf("%s: of versions %d to %d, %d were never acknowledged, to %d clients", secret, ack.checked[secret]+1, newest, missing, clients)
	}
	ack.checked[secret] = newest
}
