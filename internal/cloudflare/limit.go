package cloudflare

import (
	"context"
	"log/slog"
	"time"
)

// limitPeriod is the period of the rate limiting bindings in wrangler.jsonc, and
// so the longest that anybody has to wait.
const limitPeriod = 10 * time.Second

// Counter is what counts where there is no binding.
type Counter interface {
	Allow(ctx context.Context, key string) (ok bool, wait time.Duration)
}

// LimiterConfig is what a Limiter needs; all but Quiet is required.
type LimiterConfig struct {
	Bindings Bindings
	Binding  string  // its name
	Own      Counter // for want of the binding
	// Quiet, when not nil, allows what is far below the limit without asking: each
	// isolate may let so much more through, and most requests wait for one thing less.
	Quiet Counter
	Log   *slog.Logger
}

// Limiter asks a rate limiting binding, which counts for all isolates of a
// location. Where there is none, each isolate counts for itself.
type Limiter struct{ LimiterConfig }

// NewLimiter makes a limiter.
func NewLimiter(c LimiterConfig) *Limiter { return &Limiter{c} }

// Allow implements httpapi.Limiter.
func (l *Limiter) Allow(ctx context.Context, key string) (bool, time.Duration) {
	if l.Quiet != nil {
		if ok, _ := l.Quiet.Allow(ctx, key); ok {
			return true, 0
		}
	}
	answer, err := l.Bindings.Do(ctx, Operation{Kind: opLimit, Binding: l.Binding, Key: key})
	if err != nil {
		l.Log.WarnContext(ctx, "the rate limit does not answer: this isolate counts for itself", slog.Any("error", err))
		return l.Own.Allow(ctx, key)
	}
	switch allowed, isNumber := (&cells{rest: answer}).value().(float64); {
	case !isNumber:
		return l.Own.Allow(ctx, key)
	case allowed == 1:
		return true, 0
	}
	return false, limitPeriod
}
