package httpapi

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Unlimited is a Limiter that allows everything.
type Unlimited struct{}

// Allow says yes.
func (Unlimited) Allow(context.Context, string) (bool, time.Duration) { return true, 0 }

// maxBuckets bounds the memory of a TokenBuckets: about 100 bytes each.
const maxBuckets = 16384

// TokenBuckets limits each key to a steady rate with a burst, in memory. Keys
// that have been quiet long enough to be full again are forgotten.
type TokenBuckets struct {
	now   func() time.Time
	limit rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// NewTokenBuckets allows perSecond events a second and burst at once, per key.
func NewTokenBuckets(now func() time.Time, perSecond float64, burst int) *TokenBuckets {
	return &TokenBuckets{now: now, limit: rate.Limit(perSecond), burst: burst, buckets: map[string]*rate.Limiter{}}
}

// Allow takes one token of key's bucket, or says how long until there is one.
func (t *TokenBuckets) Allow(_ context.Context, key string) (bool, time.Duration) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.buckets[key]
	if !ok {
		if len(t.buckets) >= maxBuckets {
			t.forgetFull(now)
		}
		b = rate.NewLimiter(t.limit, t.burst)
		t.buckets[key] = b
	}
	r := b.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
		return false, wait
	}
	return true, 0
}

// forgetFull drops the buckets that hold no memory of anything; if an attack
// from very many addresses left none, all go: the next request of each starts
// with a full bucket, which is what a restart would do too.
func (t *TokenBuckets) forgetFull(now time.Time) {
	for key, b := range t.buckets {
		if b.TokensAt(now) >= float64(t.burst) {
			delete(t.buckets, key)
		}
	}
	if len(t.buckets) >= maxBuckets {
		clear(t.buckets)
	}
}
