//go:build js && wasm

package main

import (
	"context"
	"net/http"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/cloudflare"
)

// readAhead says what the requests that come most often are going to read, once it
// is known whose they are. It decides nothing: the routes are httpapi's.
func readAhead(ctx context.Context, r *http.Request) context.Context {
	if r.URL.Path == "/api/secrets" && r.Method == http.MethodGet {
		return cloudflare.ReadAhead(ctx, cloudflare.ExpectSecrets)
	}
	if r.URL.Path == "/api/user" && r.Method == http.MethodGet {
		return cloudflare.ReadAhead(ctx, cloudflare.ExpectInstallation)
	}
	last, ok := strings.CutPrefix(r.URL.Path, "/api/secrets/")
	name, err := leger.ParseSecretName(last)
	if !ok || err != nil {
		return ctx
	}
	switch r.Method {
	case http.MethodGet:
		return cloudflare.ReadAhead(ctx, cloudflare.ExpectSecret(name))
	case http.MethodPost, http.MethodDelete:
		return cloudflare.ReadAhead(ctx, cloudflare.ExpectState(name))
	}
	return ctx
}
