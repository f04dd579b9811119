package localvault_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tailscale/setec/client/setec"
	"github.com/tailscale/setec/types/api"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

// setecClient is setec's own client, dialling our socket.
func setecClient(socket string) setec.Client {
	h := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	return setec.Client{Server: "http://legerd", DoHTTP: h.Do}
}

func TestSetecsClientFindsItsServer(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	c, ctx := setecClient(f.socket), t.Context()

	if all, err := c.List(ctx); err != nil || len(all) != 0 {
		t.Fatalf("empty store: %v, %v", all, err)
	}
	if v, err := c.Put(ctx, "db/password", []byte("one")); err != nil || v != 1 {
		t.Fatalf("put: %d, %v", v, err)
	}
	if v, err := c.Put(ctx, "db/password", []byte("two")); err != nil || v != 2 {
		t.Fatalf("second put: %d, %v", v, err)
	}
	// A second put is stored and not active.
	wantValue(t, c, "db/password", 1, "one")
	if err := c.Activate(ctx, "db/password", 2); err != nil {
		t.Fatal(err)
	}
	wantValue(t, c, "db/password", 2, "two")
	if err := c.CreateVersion(ctx, "db/password", 9, []byte("nine")); err != nil {
		t.Fatal(err)
	}
	wantValue(t, c, "db/password", 9, "nine")
	if v, err := c.GetVersion(ctx, "db/password", 1); err != nil || string(v.Value) != "one" {
		t.Errorf("version 1: %v, %v", v, err)
	}

	if err := c.CreateVersion(ctx, "db/password", 9, []byte("again")); !errors.Is(err, api.ErrVersionClaimed) {
		t.Errorf("a version was given twice: %v", err)
	}
	if _, err := c.GetIfChanged(ctx, "db/password", 9); !errors.Is(err, api.ErrValueNotChanged) {
		t.Errorf("unchanged: %v", err)
	}
	if v, err := c.GetIfChanged(ctx, "db/password", 2); err != nil || string(v.Value) != "nine" {
		t.Errorf("changed: %v, %v", v, err)
	}
	if _, err := c.Get(ctx, "none"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	if err := c.DeleteVersion(ctx, "db/password", 1); err != nil {
		t.Fatal(err)
	}
	info, err := c.Info(ctx, "db/password")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&api.SecretInfo{Name: "db/password", Versions: []api.SecretVersion{2, 9}, ActiveVersion: 9}, info); diff != "" {
		t.Error(diff)
	}
	if err := c.DeleteVersion(ctx, "db/password", 9); err == nil {
		t.Error("the active version was deleted")
	}
	if err := c.Delete(ctx, "db/password"); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, "db/password"); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	if _, err := c.Info(ctx, "db/password"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("info of what was deleted: %v", err)
	}
}

func wantValue(t testing.TB, c setec.Client, name string, v api.SecretVersion, value string) {
	t.Helper()
	got, err := c.Get(t.Context(), name)
	if err != nil || got.Version != v || string(got.Value) != value {
		t.Errorf("%s: got %v, %v; want version %d", name, got, err, v)
	}
}

// A program that uses setec's library sees what a sync wrote without restarting.
func TestSetecsStoreAndUpdaterFollowASync(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	u, n := user(t, 1), name(t, "openai_api_key")
	if err := f.client.CreateVersion(t.Context(), u, n, 3, text("old")); err != nil {
		t.Fatal(err)
	}
	stored := localvault.StoredName(u, n)
	store, err := setec.NewStore(t.Context(), setec.StoreConfig{
		Client: setecClient(f.socket), Secrets: []string{stored}, PollInterval: -1, Logf: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	updater, err := setec.NewUpdater(t.Context(), store, stored, func(b []byte) (string, error) { return strings.ToUpper(string(b)), nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := updater.Get(); got != "OLD" {
		t.Fatalf("updater has %q", got)
	}
	if err := f.client.CreateVersion(t.Context(), u, n, 7, text("new")); err != nil {
		t.Fatal(err)
	}
	if err := store.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := updater.Get(); got != "NEW" {
		t.Errorf("updater still has %q", got)
	}
	if got := store.Secret(stored).GetString(); got != "new" {
		t.Errorf("store still has %q", got)
	}
}

// The checks of setec's server, in its order and with its status codes.
func TestStatusCodesAreSetecs(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", f.socket)
	}}}
	t.Cleanup(h.CloseIdleConnections)
	const header, json = "Sec-X-Tailscale-No-Browsers", "application/json"
	for _, test := range []struct {
		what, method, path, kind, browsers, body string
		want                                     int
	}{
		{"another method", "GET", "/api/list", json, "setec", "{}", 400},
		{"another type", "POST", "/api/list", "text/plain", "setec", "{}", 400},
		{"a browser", "POST", "/api/list", json, "", "{}", 403},
		{"a clever browser", "POST", "/api/list", json, "1", "{}", 403},
		{"no JSON", "POST", "/api/list", json, "setec", "{", 400},
		{"list", "POST", "/api/list", json, "setec", "{}", 200},
		{"unknown fields are ignored", "POST", "/api/list", json, "setec", `{"New":1}`, 200},
		{"no name", "POST", "/api/put", json, "setec", `{"Value":"YQ=="}`, 500},
		{"setec's own names", "POST", "/api/put", json, "setec", `{"Name":"_internal/x","Value":"YQ=="}`, 500},
		{"version 0", "POST", "/api/create-version", json, "setec", `{"Name":"x","Value":"YQ=="}`, 400},
		{"activate nothing", "POST", "/api/activate", json, "setec", `{"Name":"x","Version":1}`, 404},
		{"delete a version of nothing", "POST", "/api/delete-version", json, "setec", `{"Name":"x","Version":1}`, 404},
		{"delete nothing", "POST", "/api/delete", json, "setec", `{"Name":"x"}`, 200},
		{"another path", "POST", "/api/nothing", json, "setec", `{}`, 404},
		{"too much", "POST", "/api/put", json, "setec", `{"Name":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://legerd"+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", test.kind)
		if test.browsers != "" {
			req.Header.Set(header, test.browsers)
		}
		resp, err := h.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != test.want {
			t.Errorf("%s: got %d, want %d", test.what, resp.StatusCode, test.want)
		}
	}
}

// setec counts versions in 32 bits and would go on with 0 after the last one.
func TestVersionNumbersDoNotWrap(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	u, n := user(t, 1), name(t, "k")
	const last = 1<<32 - 1
	if err := f.client.CreateVersion(t.Context(), u, n, last, text("v")); err != nil {
		t.Fatal(err)
	}
	if v, err := setecClient(f.socket).Put(t.Context(), localvault.StoredName(u, n), []byte("w")); err == nil {
		t.Errorf("the version after the last one is %d", v)
	}
	wantCode(t, f.client.CreateVersion(t.Context(), u, n, last+1, text("w")), leger.ErrInvalid)
	wantCode(t, f.client.CreateVersion(t.Context(), u, n, 0, text("w")), leger.ErrInvalid)
}
