//go:build e2e

package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/rig"
	"leger.run/leger/e2e/workerd"
)

const email = "alice@example.com"

func kvKey(name string) string {
	return "secrets:" + leger.LocalIdentity(email).UserID().String() + ":" + name
}

// spoiled gives what stands in KV instead of the record of version 2, given those of
// versions 1 and 2; nil is nothing.
func spoiled() map[string]func(first, second string) *workerd.KVEntry {
	entry := func(value string, version int) *workerd.KVEntry {
		e := &workerd.KVEntry{Value: value}
		if version > 0 {
			e.Metadata = map[string]any{"version": version}
		}
		return e
	}
	return map[string]func(first, second string) *workerd.KVEntry{
		"deleted":                func(string, string) *workerd.KVEntry { return nil },
		"older":                  func(first, _ string) *workerd.KVEntry { return entry(first, 1) },
		"older_without_metadata": func(first, _ string) *workerd.KVEntry { return entry(first, 0) },
		"older_said_to_be_newer": func(first, _ string) *workerd.KVEntry { return entry(first, 2) },
		"without_metadata":       func(_, second string) *workerd.KVEntry { return entry(second, 0) },
		"not_json":               func(string, string) *workerd.KVEntry { return entry("<null>", 2) },
		"json_null":              func(string, string) *workerd.KVEntry { return entry("null", 2) },
		"empty":                  func(string, string) *workerd.KVEntry { return entry("", 2) },
		"cut_in_half":            func(_, second string) *workerd.KVEntry { return entry(second[:len(second)/2], 2) },
		"no_base64":              func(_, second string) *workerd.KVEntry { return entry(withField(second, "encrypted_value", "*"), 2) },
		"other_value": func(_, second string) *workerd.KVEntry {
			return entry(withField(second, "encrypted_value", strings.Repeat("A", 40)), 2)
		},
		"other_nonce": func(first, second string) *workerd.KVEntry {
			return entry(withField(second, "nonce", field(first, "nonce")), 2)
		},
		"version_to_come":      func(_, second string) *workerd.KVEntry { return entry(withField(second, "version", 9), 9) },
		"other_key_version":    func(_, second string) *workerd.KVEntry { return entry(withField(second, "encryption_version", 7), 2) },
		"of_another_secret":    func(_, second string) *workerd.KVEntry { return entry(withField(second, "name", "older"), 2) },
		"of_another_user":      func(_, second string) *workerd.KVEntry { return entry(withField(second, "user_uuid", "someone"), 2) },
		"fields_of_wrong_type": func(_, second string) *workerd.KVEntry { return entry(withField(second, "version", "two"), 2) },
	}
}

// TestCopyBehindTheLedger: KV holds copies, D1 is the ledger. Whatever happens to a
// copy, no read is stale, none fails, and a lost or older copy is right again after a
// read. A copy that outlived its secret brings nothing back.
func TestCopyBehindTheLedger(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	k := newKeys(t)
	w := startWorker(t, k, nil)
	api := newCaller(t, w.URL, k, email)
	api.signIn(t)
	cases := spoiled()
	secrets := append(slices.Sorted(maps.Keys(cases)), "gone")
	first := writeAll(t, w, api, secrets, "one")
	second := writeAll(t, w, api, secrets, "two")
	if r := api.call(ctx, http.MethodDelete, "/api/secrets/gone", "", ""); r.status != http.StatusOK {
		t.Fatal(r)
	}
	var lost []string
	entries := []workerd.KVEntry{{Key: kvKey("gone"), Value: second["gone"], Metadata: map[string]any{"version": 2}}}
	for name, spoil := range cases {
		if e := spoil(first[name], second[name]); e != nil {
			e.Key = kvKey(name)
			entries = append(entries, *e)
		} else {
			lost = append(lost, kvKey(name))
		}
	}
	for _, how := range []string{"list", "one"} { // the first read heals, so each kind of read gets its own trouble
		if err := errors.Join(w.KVPut(ctx, secretsKV, entries...), w.KVDelete(ctx, secretsKV, lost...)); err != nil {
			t.Fatal(err)
		}
		for name := range cases {
			got, err := readBy(ctx, api, how, name)
			if want := (stored{name, "two", 2}); err != nil || got != want {
				t.Errorf("%s, read by %s: version %d, the right value: %t, %v", name, how, got.Version, got.Value == want.Value, err)
			}
		}
	}
	all, err := api.secrets(ctx)
	if _, there := all["gone"]; err != nil || there {
		t.Errorf("a deleted secret is listed, or nothing is: %v", err)
	}
	if r := api.call(ctx, http.MethodGet, "/api/secrets/gone", "", ""); r.status != http.StatusNotFound {
		t.Errorf("a deleted secret: %s", r)
	}
	rig.Eventually(t, 30*time.Second, "the copies are right again", func(ctx context.Context) error {
		healed, err := w.KVGet(ctx, secretsKV, kvKey("deleted"), kvKey("older"))
		for _, name := range []string{"deleted", "older"} {
			record := healed[kvKey(name)]
			if field(record, "version") != 2.0 || field(record, "encrypted_value") != field(second[name], "encrypted_value") {
				err = errors.Join(err, fmt.Errorf("the copy of %q is at version %v", name, field(record, "version")))
			}
		}
		return err
	})
}

const secretsKV = "LEGER_SECRETS"

// writeAll writes the same value to secrets and gives their records in KV.
func writeAll(t *testing.T, w *workerd.Worker, api *caller, secrets []string, value string) map[string]string {
	t.Helper()
	keys := make([]string, len(secrets))
	for i, name := range secrets {
		keys[i] = kvKey(name)
		if _, r := api.write(t.Context(), name, value, ""); r.status != http.StatusOK {
			t.Fatal(r)
		}
	}
	found, err := w.KVGet(t.Context(), secretsKV, keys...)
	if err != nil || len(found) != len(keys) {
		t.Fatalf("%d of %d records are in KV: %v", len(found), len(keys), err)
	}
	records := map[string]string{}
	for i, name := range secrets {
		records[name] = found[keys[i]]
	}
	return records
}

func readBy(ctx context.Context, api *caller, how, name string) (stored, error) {
	if how == "list" {
		all, err := api.secrets(ctx)
		return all[name], err
	}
	var got stored
	err := api.call(ctx, http.MethodGet, "/api/secrets/"+name, "", "").data(&got)
	return got, err
}

func field(record, name string) any {
	var fields map[string]any
	_ = json.Unmarshal([]byte(record), &fields) // then it has none
	return fields[name]
}

func withField(record, name string, value any) string {
	var fields map[string]any
	_ = json.Unmarshal([]byte(record), &fields) // then it has none
	fields[name] = value
	text, _ := json.Marshal(fields) //nolint:errchkjson // decoded JSON encodes
	return string(text)
}

// TestMisconfigured: a Worker that was not set up rightly says so, by name, to the
// first request and in /ready; /health stays 200, so that the deployment can be told
// from the code.
func TestMisconfigured(t *testing.T) {
	t.Parallel()
	unbound := func(name string) func(*workerd.Config) {
		return func(c *workerd.Config) { c.Edit = func(s workerd.Settings) { s.Unbind(name) } }
	}
	without := func(name string) func(*workerd.Config) {
		return func(c *workerd.Config) { delete(c.Secrets, name) }
	}
	for name, c := range map[string]struct {
		edit func(*workerd.Config)
		says string // what both must name
	}{
		"no D1":            {unbound("LEGER_DB"), "LEGER_DB"},
		"no KV of secrets": {unbound("LEGER_SECRETS"), "LEGER_SECRETS"},
		"no KV of users":   {unbound("LEGER_USERS"), "LEGER_USERS"},
		"no R2":            {unbound("LEGER_STATIC"), "LEGER_STATIC"},
		"a misnamed binding": {func(c *workerd.Config) {
			c.Edit = func(s workerd.Settings) { s.Rename("LEGER_SECRETS", "LEGER_SECRET") }
		}, "LEGER_SECRETS"},
		"D1 under the name of KV":       {func(c *workerd.Config) { c.Edit = swapped }, "LEGER_SECRETS"},
		"no encryption key":             {without("ENCRYPTION_KEY"), "ENCRYPTION_KEY"},
		"an encryption key of no use":   {func(c *workerd.Config) { c.Secrets["ENCRYPTION_KEY"] = canaryKey }, "ENCRYPTION_KEY"},
		"a shared secret that is short": {func(c *workerd.Config) { c.Secrets["JWT_SECRET"] = canaryKey }, "JWT_SECRET"},
		"no migrations":                 {func(c *workerd.Config) { c.Unmigrated = true }, "migrat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeys(t)
			misconfigured(t, startWorker(t, k, c.edit), k, c.says)
		})
	}
}

// canaryKey is no key, and must not be shown for that.
const canaryKey = "canary-5d1f0a"

// swapped binds LEGER_SECRETS to the database.
func swapped(s workerd.Settings) {
	s.Unbind("LEGER_SECRETS")
	databases, _ := s["d1_databases"].([]any)
	if len(databases) == 0 {
		return
	}
	if ledger, ok := databases[0].(map[string]any); ok {
		other := maps.Clone(ledger)
		other["binding"] = "LEGER_SECRETS"
		s["d1_databases"] = append(databases, other)
	}
}

// TestWrongEncryptionKey: with another key than the secrets were sealed with, nothing
// is read and nothing is written, since it would go under a key that opens only some.
func TestWrongEncryptionKey(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	persist := func(c *workerd.Config) { c.Persist = state }
	right := newKeys(t)
	w := startWorker(t, right, persist)
	api := newCaller(t, w.URL, right, email)
	api.signIn(t)
	if _, r := api.write(t.Context(), "a", "v", ""); r.status != http.StatusOK {
		t.Fatal(r)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	wrong := newKeys(t)
	wrong.shared = right.shared
	w = startWorker(t, wrong, persist)
	misconfigured(t, w, wrong, "ENCRYPTION_KEY")
	if _, r := newCaller(t, w.URL, wrong, email).write(t.Context(), "b", "v", ""); r.code() != "unavailable" {
		t.Errorf("a write with the wrong key: %s", r)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w = startWorker(t, right, persist)
	all, err := newCaller(t, w.URL, right, email).secrets(t.Context())
	if err != nil || len(all) != 1 || all["a"].Value != "v" {
		t.Errorf("with the right key again: %d secrets, %v", len(all), err)
	}
}

// misconfigured asks everything there is to ask of a Worker that cannot work.
func misconfigured(t *testing.T, w *workerd.Worker, k keys, says string) {
	t.Helper()
	api := newCaller(t, w.URL, k, email)
	for _, request := range [][2]string{{http.MethodGet, "/api/secrets"}, {http.MethodPost, "/api/auth/validate"}, {http.MethodGet, "/api/secrets?include_values=true"}} {
		r := api.call(t.Context(), request[0], request[1], "", "")
		if r.status != http.StatusServiceUnavailable || r.code() != "unavailable" {
			t.Errorf("%s %s: %s", request[0], request[1], r)
		}
		if !strings.Contains(string(r.body), says) {
			t.Errorf("%s %s does not name %s: %s", request[0], request[1], says, r.body)
		}
	}
	status, body := open(t, w.URL+"/ready")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"unavailable"`) || !strings.Contains(body, says) {
		t.Errorf("/ready: status %d, %s", status, body)
	}
	if status, body := open(t, w.URL+"/health"); status != http.StatusOK || !strings.Contains(body, `"healthy"`) {
		t.Errorf("/health: status %d, %s", status, body)
	}
	for _, secret := range []string{k.encryption, k.shared, canaryKey, strings.TrimPrefix(api.bearer, "Bearer ")} {
		if strings.Contains(w.Log(), secret) {
			t.Error("the log has a secret")
		}
	}
}

func open(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// TestTwoInstancesNeverShareAVersion: two Workers on the same storage, as Cloudflare
// runs them in two places, write one secret; each version goes to one of them.
func TestTwoInstancesNeverShareAVersion(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const writes = 20
	k, state := newKeys(t), t.TempDir()
	var callers [2]*caller
	for i := range callers {
		w := startWorker(t, k, func(c *workerd.Config) { c.Persist = state })
		callers[i] = newCaller(t, w.URL, k, email)
		callers[i].signIn(t)
	}
	type written struct {
		version int64
		value   string
		result  result
	}
	answers := make(chan written)
	for i, api := range callers {
		go func() {
			for n := range writes {
				value := fmt.Sprintf("instance %d value %d", i, n)
				var version int64
				r := patiently(func() (r result) {
					version, r = api.write(ctx, "both", value, "")
					return r
				})
				answers <- written{version, value, r}
			}
		}()
	}
	values := map[int64]string{}
	for range 2 * writes {
		a := <-answers
		if a.result.status != http.StatusOK {
			t.Errorf("%s: %s", a.value, a.result)
			continue
		}
		if old, taken := values[a.version]; taken {
			t.Errorf("version %d was given to %q and to %q", a.version, old, a.value)
		}
		values[a.version] = a.value
	}
	for i, api := range callers {
		var all map[string]stored
		var err error
		patiently(func() result {
			if all, err = api.secrets(ctx); err != nil {
				return result{status: http.StatusServiceUnavailable}
			}
			return result{}
		})
		if want := (stored{"both", values[2*writes], 2 * writes}); err != nil || all["both"] != want {
			t.Errorf("instance %d has %+v, want %+v, %v", i, all["both"], want, err)
		}
	}
}

// patiently asks again while the answer is "unavailable". Two instances here are two
// processes with one SQLite file, which find it locked by the other at times and have
// written nothing then; D1 is one process.
func patiently(ask func() result) (r result) {
	for range 100 {
		if r = ask(); r.status != http.StatusServiceUnavailable {
			return r
		}
	}
	return r
}
