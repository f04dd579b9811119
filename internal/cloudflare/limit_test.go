package cloudflare_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	"leger.run/leger/internal/cloudflare"
)

// firstOnes allows so many.
type firstOnes int

func (f *firstOnes) Allow(context.Context, string) (bool, time.Duration) {
	*f--
	return *f >= 0, time.Second
}

// limits answers as a rate limiting binding: yes, no, or not at all.
type limits struct {
	asked  int
	answer float64
	err    error
}

func (l *limits) Do(context.Context, cloudflare.Operation) ([]byte, error) {
	l.asked++
	if l.err != nil {
		return nil, l.err
	}
	return binary.LittleEndian.AppendUint64([]byte{1}, math.Float64bits(l.answer)), nil
}

// TestLimiterAsksOnlyTheBusy: far below its limit a user waits for nothing; above,
// the binding decides, and where it does not answer the isolate.
func TestLimiterAsksOnlyTheBusy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		about    string
		binding  limits
		own      firstOnes
		allowed  int
		mustWait time.Duration
	}{
		{"the binding says yes", limits{answer: 1}, 0, 5, 0},
		{"the binding says no", limits{answer: 0}, 9, 2, 10 * time.Second},
		{"the binding does not answer", limits{err: errors.New("away")}, 1, 3, time.Second},
	} {
		quiet := firstOnes(2)
		l := cloudflare.NewLimiter(cloudflare.LimiterConfig{
			Bindings: &c.binding, Binding: cloudflare.BindingRequests, Own: &c.own, Quiet: &quiet,
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		allowed, longest := 0, time.Duration(0)
		for range 5 {
			ok, wait := l.Allow(t.Context(), "user")
			if ok {
				allowed++
			}
			longest = max(longest, wait)
		}
		if allowed != c.allowed || c.binding.asked != 3 || longest != c.mustWait {
			t.Errorf("%s: %d of 5 were allowed with the binding asked %d times, the longest wait %s", c.about, allowed, c.binding.asked, longest)
		}
	}
}
