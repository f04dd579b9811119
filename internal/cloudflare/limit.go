package cloudflare

import (
	"context"
	"log/slog"
	"time"

	"leger.run/leger/internal/httpapi"
)

// The limits of leger-server: requests a second for each user in bursts of four
// times as many, wrong credentials a second for each address in bursts of ten
// times as many.
const (
	requestsPerSecond = 100
	refusalsPerSecond = 2
)

// limitPeriod is the period of the rate limiting bindings in wrangler.jsonc, and
// so the longest that anybody has to wait.
const limitPeriod = 10 * time.Second

func (s *Server) requests() httpapi.Limiter {
	if s.Settings.RateLimit == "0" {
		return httpapi.Unlimited{}
	}
	return s.limiter(BindingRequests, requestsPerSecond, 4*requestsPerSecond)
}

func (s *Server) limiter(binding string, perSecond float64, burst int) httpapi.Limiter {
	return &limiter{
		bindings: s.Bindings, binding: binding, log: s.Log, own: httpapi.NewTokenBuckets(s.Now, perSecond, burst),
	}
}

// limiter asks the rate limiting binding, which counts for all isolates of a
// location. Where there is none, each isolate counts for itself.
type limiter struct {
	bindings Bindings
	binding  string
	log      *slog.Logger
	own      *httpapi.TokenBuckets
}

// Allow implements httpapi.Limiter.
func (l *limiter) Allow(ctx context.Context, key string) (bool, time.Duration) {
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
