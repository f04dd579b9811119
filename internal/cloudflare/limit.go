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

// Limiter asks a rate limiting binding, which counts for all isolates of a
// location. Where there is none, each isolate counts for itself.
type Limiter struct {
	bindings Bindings
	binding  string
	own      Counter
	log      *slog.Logger
}

// NewLimiter makes a limiter on the named binding, with own for want of it.
func NewLimiter(b Bindings, binding string, own Counter, log *slog.Logger) *Limiter {
	return &Limiter{bindings: b, binding: binding, own: own, log: log}
}

// Allow implements httpapi.Limiter.
func (l *Limiter) Allow(ctx context.Context, key string) (bool, time.Duration) {
	answer, err := l.bindings.Do(ctx, Operation{Kind: opLimit, Binding: l.binding, Key: key})
	if err != nil {
		l.log.WarnContext(ctx, "the rate limit does not answer: this isolate counts for itself", slog.Any("error", err))
		return l.own.Allow(ctx, key)
	}
	switch allowed, isNumber := (&cells{rest: answer}).value().(float64); {
	case !isNumber:
		return l.own.Allow(ctx, key)
	case allowed == 1:
		return true, 0
	}
	return false, limitPeriod
}
