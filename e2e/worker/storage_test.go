//go:build e2e

package worker_test

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/differ"
	"leger.run/leger/e2e/workerd"
)

// TestStorageIsTheSpecifications looks at the storage with wrangler: another program
// that knows the specification can read it.
func TestStorageIsTheSpecifications(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const value = "canary-0b7e44c1"
	k := newKeys(t)
	w := startWorker(t, k, nil)
	api := newCaller(t, w.URL, k, email)
	api.signIn(t)
	if _, r := api.write(ctx, "openai_api_key", value, ""); r.status != http.StatusOK {
		t.Fatal(r)
	}
	user := leger.LocalIdentity(email).UserID().String()

	secret := one(t, w, secretsKV, "secrets:"+user+":openai_api_key")
	hasFields(t, "the secret's record", secret, "secret_id", "user_uuid", "name", "encrypted_value", "nonce", "encryption_version",
		"version", "created_at", "updated_at", "last_accessed")
	if field(secret, "name") != "openai_api_key" || field(secret, "user_uuid") != user || field(secret, "version") != 1.0 || field(secret, "encryption_version") != 1.0 {
		t.Errorf("the record is %s", secret)
	}
	account := one(t, w, "LEGER_USERS", "user:"+user)
	hasFields(t, "the user's record", account, "user_uuid", "tailscale_user_id", "tailscale_email", "tailnet", "display_name", "created_at",
		"last_seen", "last_device_id", "metadata")

	rows, err := w.D1(ctx, "leger-db", "SELECT name FROM sqlite_master WHERE type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"users", "releases", "configurations"} {
		if !slices.ContainsFunc(rows, func(row map[string]any) bool { return row["name"] == table }) {
			t.Errorf("D1 has no table %s: %v", table, rows)
		}
	}
	if n, err := w.R2Objects("leger-static-sites"); n != 0 || err != nil {
		t.Errorf("R2 holds %d objects, %v", n, err)
	}
	sealed, err := w.D1(ctx, "leger-db", "SELECT * FROM secret_versions")
	if text, _ := json.Marshal(sealed); err != nil || len(sealed) != 1 || strings.Contains(string(text)+secret+account+w.Log(), value) {
		t.Errorf("a value stands where it must not be, or nowhere: %d rows, %v", len(sealed), err)
	}

	status, body := open(t, w.URL+"/health")
	if status != http.StatusOK {
		t.Errorf("/health: %d", status)
	}
	hasFields(t, "/health", body, "status", "service", "version", "timestamp")
}

// one gives the value of a key that must be there.
func one(t *testing.T, w *workerd.Worker, binding, key string) string {
	t.Helper()
	got, err := w.KVGet(t.Context(), binding, key)
	if _, there := got[key]; err != nil || !there {
		t.Fatalf("%s has no %s: %v", binding, key, err)
	}
	return got[key]
}

func hasFields(t *testing.T, what, text string, want ...string) {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("%s has the fields %v, want %v", what, got, want)
	}
}

// TestSamePages: the web app comes with the same headers from both servers, but for
// three: Cloudflare compresses by itself and says so by itself, a Worker's visitors
// always come over https, and no Worker runs that could number a request.
func TestSamePages(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	native, w := startNative(t, k), startWorker(t, k, nil)
	_, page := open(t, native+"/")
	var requests []differ.Request
	paths := []string{"/", "/api-keys", "/releases/new", "/auth?token=x", "/nothing/here", "/health/", "/health/x", "/ready/x", "/API/secrets", "/assets/none.js", "/icon.svg", "/theme.js"}
	for _, match := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		paths = append(paths, match[1])
	}
	if len(paths) < 10 {
		t.Fatalf("the page names no script and no style: is the web app built?\n%s", page)
	}
	for _, path := range paths {
		requests = append(requests, differ.Request{Method: http.MethodGet, Path: path}, differ.Request{Method: http.MethodHead, Path: path})
	}
	requests = append(requests, differ.Request{Method: http.MethodPost, Path: "/api-keys"})
	result, err := differ.Run(t.Context(), differ.Config{
		Servers: [2]string{native, w.URL}, Names: [2]string{"native", "worker"},
		Shared: k.secret(t), Now: time.Now, Random: rand.Reader, Client: differ.NewClient(),
		Except: []string{"Vary", "Strict-Transport-Security", "X-Request-Id", "ETag"},
	}, requests)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range result.Differences {
		t.Error(d)
	}
}
