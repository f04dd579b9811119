//go:build js && wasm

package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"leger.run/leger"
	"leger.run/leger/api"
	"leger.run/leger/internal/cloudflare"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
)

// settings are the Worker's variables and secrets, as text.
type settings struct {
	// Version is APP_VERSION.
	Version string `json:"APP_VERSION"`
	// EncryptionKey is ENCRYPTION_KEY: base64 of 32 bytes.
	EncryptionKey string `json:"ENCRYPTION_KEY"`
	// EncryptionKeyPrevious is ENCRYPTION_KEY_PREVIOUS: former keys, by commas; optional.
	EncryptionKeyPrevious string `json:"ENCRYPTION_KEY_PREVIOUS"`
	// JWTSecret is JWT_SECRET, shared with the CLI: 32 bytes or more; optional. Without it
	// machines sign in with keys of their own and nothing else.
	JWTSecret string `json:"JWT_SECRET"`
	// PublicURL is PUBLIC_URL; without it, it is the origin that was asked.
	PublicURL string `json:"PUBLIC_URL"`
	// RateLimit is LEGER_RATE_LIMIT: "0" switches the limit on requests off.
	RateLimit string `json:"LEGER_RATE_LIMIT"`
}

// config is what a server needs; every field is required.
type config struct {
	Bindings cloudflare.Bindings
	Settings settings
	Now      func() time.Time
	Random   io.Reader // cryptographically secure
	Log      *slog.Logger
}

// server is the API as the Worker serves it. It always answers: when a setting or
// a binding is wrong, each request and /ready say which, and only /health is well.
type server struct {
	config
	store   *cloudflare.Store
	ring    *vault.KeyRing
	shared  token.Secret
	invalid error // a setting that is wrong, nil if none

	mu    sync.Mutex // held for no operation
	ready bool       // what it takes to serve was found
	apis  map[string]*httpapi.API
}

// The limits of leger-server: requests a second for each user in bursts of four
// times as many, wrong credentials a second for each address in bursts of ten
// times as many.
const (
	requestsPerSecond = 100
	refusalsPerSecond = 2

	// quietPerSecond is what an isolate lets a user do before it asks for the limit: a
	// quarter of it, and in bursts a quarter of what the binding allows in its period.
	quietPerSecond = requestsPerSecond / 4
)

// maxOrigins bounds the origins that are remembered: Cloudflare hands a Worker
// only what was sent to its own names, and those are few.
const maxOrigins = 16

// newServer reads the settings. What is wrong with them is told by every request.
func newServer(c config) *server {
	s := &server{config: c, store: cloudflare.NewStore(c.Bindings, c.Now, c.Log), apis: map[string]*httpapi.API{}}
	s.invalid = s.readSettings()
	return s
}

func (s *server) readSettings() (err error) {
	set := s.Settings
	if set.EncryptionKey == "" {
		return wrongSetting("the Worker has no secret ENCRYPTION_KEY").WithHint("wrangler secret put ENCRYPTION_KEY")
	}
	if s.ring, err = vault.ParseKeyRing(set.EncryptionKey, set.EncryptionKeyPrevious); err != nil {
		return asWrongSetting(err, "wrangler secret put ENCRYPTION_KEY")
	}
	if set.JWTSecret == "" {
		return nil
	}
	if s.shared, err = token.ParseSecret([]byte(set.JWTSecret)); err != nil {
		return asWrongSetting(err, "wrangler secret put JWT_SECRET, or wrangler secret delete JWT_SECRET")
	}
	return nil
}

// methods are the ways to sign in, the preferred one first.
func (s *server) methods() []leger.SignInMethod {
	if s.Settings.JWTSecret == "" {
		return []leger.SignInMethod{leger.SignInMachine}
	}
	return []leger.SignInMethod{leger.SignInMachine, leger.SignInSharedSecret}
}

func wrongSetting(format string, args ...any) *leger.Error {
	return leger.Errorf(leger.CodeUnavailable, format, args...)
}

// asWrongSetting: to whoever asks, a setting that is wrong makes the service
// unavailable; the request was right.
func asWrongSetting(err error, hint string) error {
	return wrongSetting("%s", err.Error()).WithHint("%s", hint)
}

// prune forgets what is past its time: for the Worker's schedule.
func (s *server) prune(ctx context.Context) error {
	if err := s.ensure(ctx); err != nil {
		return err
	}
	now := s.Now()
	upTo, err := s.store.Prune(ctx, now)
	if err == nil && upTo.Before(now) {
		s.Log.WarnContext(ctx, "the clock is far ahead of the last pruning: only what was past its time a day after that was pruned",
			slog.Time("clock", now), slog.Time("up_to", upTo))
	}
	return err
}

// ServeHTTP serves the API. r.Host and r.TLS say which origin was asked.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := s.api(origin(s.Settings.PublicURL, r))
	if err != nil {
		s.Log.ErrorContext(r.Context(), "PUBLIC_URL is wrong", slog.Any("error", err))
		secure(w.Header())
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "PUBLIC_URL is not a URL: set it to https://… or leave it out", http.StatusServiceUnavailable)
		return
	}
	a.ServeHTTP(w, r)
}

func origin(public string, r *http.Request) string {
	if public != "" {
		return strings.TrimSuffix(public, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// api gives the API for an origin, which decides about cookies.
func (s *server) api(origin string) (*httpapi.API, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.apis[origin]; ok {
		return a, nil
	}
	a, err := httpapi.New(httpapi.Config{
		Vault:  vault.New(vault.Config{Keys: s.ring, Secrets: s.store, Now: s.Now, Random: s.Random}),
		Stores: s.store, Auth: s.methods(), SharedSecret: func() token.Secret { return s.shared },
		PublicURL: origin, Version: s.Settings.Version, OpenAPI: api.OpenAPI,
		Web: http.NotFoundHandler(), Requests: s.requests(), Refusals: s.refusals(),
		Now: s.Now, Random: s.Random, Log: s.Log, Ready: s.ensure,
	})
	if err != nil {
		return nil, err
	}
	if len(s.apis) >= maxOrigins {
		clear(s.apis)
	}
	s.apis[origin] = a
	return a, nil
}

// ensure finds out, until it held once, whether the Worker can serve.
func (s *server) ensure(ctx context.Context) error {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	if ready {
		return nil
	}
	if s.invalid != nil {
		return s.invalid
	}
	if err := s.store.Check(ctx, s.ring, s.Random); err != nil {
		return err
	}
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	return nil
}

func (s *server) requests() httpapi.Limiter {
	if s.Settings.RateLimit == "0" {
		return httpapi.Unlimited{}
	}
	return cloudflare.NewLimiter(cloudflare.LimiterConfig{
		Bindings: s.Bindings, Binding: cloudflare.BindingRequests, Log: s.Log,
		Own:   httpapi.NewTokenBuckets(s.Now, requestsPerSecond, 4*requestsPerSecond),
		Quiet: httpapi.NewTokenBuckets(s.Now, quietPerSecond, 10*quietPerSecond),
	})
}

// refusals asks for every one: they are few, and each may be a guess at a credential.
func (s *server) refusals() httpapi.Limiter {
	return cloudflare.NewLimiter(cloudflare.LimiterConfig{
		Bindings: s.Bindings, Binding: cloudflare.BindingRefusals, Log: s.Log,
		Own: httpapi.NewTokenBuckets(s.Now, refusalsPerSecond, 10*refusalsPerSecond),
	})
}
