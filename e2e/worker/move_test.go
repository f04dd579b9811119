//go:build e2e

package worker_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/workerd"
	"leger.run/leger/internal/token"
)

// mover is a machine with a key of its own, which signs at whatever server.
type mover struct {
	id   string
	user leger.UserID
	key  ed25519.PrivateKey
}

// enrol makes a machine known at a server.
func enrol(t *testing.T, c *caller, user leger.UserID, name string) mover {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ ID string }
	body := fmt.Sprintf(`{"name":%q,"unix_user":"root","public_key":%q}`, name, leger.MachineKeyOf(private).String())
	if err := c.call(t.Context(), http.MethodPost, "/api/machines", "", body).data(&out); err != nil {
		t.Fatal(err)
	}
	return mover{out.ID, user, private}
}

// at is the machine as it asks the server at an origin.
func (m mover) at(t *testing.T, c *caller) *caller {
	t.Helper()
	claims, err := token.NewMachine(time.Now(), rand.Reader, m.id, m.user, c.url, false, "test")
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.SignMachine(m.key, claims)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{url: c.url, bearer: "Bearer " + text, http: c.http}
}

// must sends a request that succeeds.
func (c *caller) must(t *testing.T, method, path, body string) {
	t.Helper()
	if r := c.call(t.Context(), method, path, "", body); r.err != nil || r.status != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, r)
	}
}

// look gives what a server says about everything that its caller has, without what looking
// itself changes.
func look(t *testing.T, c *caller) map[string]any {
	t.Helper()
	seen := map[string]any{}
	get := func(path string) any {
		t.Helper()
		var data any
		if err := c.call(t.Context(), http.MethodGet, path, "", "").data(&data); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		seen[path] = steady(data)
		return data
	}
	for _, path := range []string{"user", "secrets?include_values=true", "machines", "invitations", "hosts"} {
		get("/api/" + path)
	}
	for _, s := range list(get("/api/secrets"), "secrets") {
		get(fmt.Sprintf("/api/secrets/%s/versions", s["name"]))
	}
	for _, r := range list(get("/api/releases"), "releases") {
		get(fmt.Sprintf("/api/releases/%s/versions", r["id"]))
	}
	for _, h := range list(get("/api/hosts?include_secrets=true&include_deployments=true"), "hosts") {
		get(fmt.Sprintf("/api/hosts/%s", h["device_id"]))
	}
	return seen
}

// list gives the objects of an array in an answer.
func list(data any, name string) (objects []map[string]any) {
	all, _ := data.(map[string]any)
	items, _ := all[name].([]any)
	for _, item := range items {
		object, _ := item.(map[string]any)
		objects = append(objects, object)
	}
	return objects
}

// steady takes away what a server notes of whoever looks, its epoch, and what only one kind of
// server tells.
func steady(data any) any {
	switch d := data.(type) {
	case map[string]any:
		for _, name := range []string{"last_accessed", "last_seen", "last_addr", "epoch", "backup"} {
			delete(d, name)
		}
		for name, v := range d {
			d[name] = steady(v)
		}
	case []any:
		for i, v := range d {
			d[i] = steady(v)
		}
	}
	return data
}

// events gives all of a caller's events by their ids.
func events(t *testing.T, c *caller) map[string]string {
	t.Helper()
	all := map[string]string{}
	for cursor := ""; ; {
		var page struct {
			Events     []json.RawMessage
			NextCursor string `json:"next_cursor"`
		}
		path := "/api/audit?limit=50&cursor=" + url.QueryEscape(cursor)
		if cursor == "" {
			path = "/api/audit?limit=50"
		}
		if err := c.call(t.Context(), http.MethodGet, path, "", "").data(&page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			var id struct{ ID json.Number }
			if err := json.Unmarshal(e, &id); err != nil {
				t.Fatal(err)
			}
			all[id.ID.String()] = string(e)
		}
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// same compares what two servers say to a caller; before are the events that both must have.
func same(t *testing.T, what string, got, want *caller, before map[string]string) {
	t.Helper()
	g, w := look(t, got), look(t, want)
	for path := range w {
		if !reflect.DeepEqual(g[path], w[path]) {
			t.Errorf("%s: %s differs:\n%.1500v\nwant\n%.1500v", what, path, g[path], w[path])
		}
	}
	if len(g) != len(w) {
		t.Errorf("%s: %d answers, want %d", what, len(g), len(w))
	}
	now := events(t, got)
	for id, event := range before {
		if now[id] != event {
			t.Errorf("%s: event %s is %s, want %s", what, id, now[id], event)
		}
	}
	if len(before) < 2 {
		t.Errorf("%s: only %d events were compared", what, len(before))
	}
}

// populate gives alice something of everything, and says which machine is hers.
func populate(t *testing.T, alice, bob *caller) mover {
	t.Helper()
	ctx := t.Context()
	user := leger.LocalIdentity(email).UserID()
	m := enrol(t, alice, user, "box")
	for i := range 4 {
		for v := range 3 {
			write(t, alice, fmt.Sprintf("key%d", i), fmt.Sprintf("canary-move-%d-%d", i, v))
		}
	}
	write(t, alice, "large", "canary-"+strings.Repeat("x", leger.MaxSecretValue-len("canary-")))
	write(t, alice, "quoted", "it's \"quoted\"\n\\n ; -- \u2028 🗝")
	alice.must(t, http.MethodDelete, "/api/secrets/key3", "")
	alice.must(t, http.MethodPut, "/api/secrets/key1/scope", fmt.Sprintf(`{"machines":[%q]}`, m.id))
	alice.must(t, http.MethodPut, "/api/secrets/key2/scope", `{"groups":["elsewhere"]}`)
	write(t, bob, "key1", "canary-move-bob")
	var release struct{ ID string }
	body := `{"name":"Web.1","git_url":"https://git.example.com/web","description":"first"}`
	if err := alice.call(ctx, http.MethodPost, "/api/releases", "", body).data(&release); err != nil {
		t.Fatal(err)
	}
	alice.must(t, http.MethodPut, "/api/releases/"+release.ID, `{"description":"two\nlines; -- 'quoted' 🗝"}`)
	alice.must(t, http.MethodPost, "/api/invitations", `{"name":"next"}`)
	units := make([]string, leger.MaxDeploymentUnits)
	for i := range units {
		units[i] = fmt.Sprintf(`{"name":"%s-%03d.service","state":"active"}`, strings.Repeat("u", 200), i)
	}
	report := fmt.Sprintf(`{"name":"box","secrets":[{"name":"key0","version":3}],"deployments":[{"release":"Web.1",
		"version":2,"state":"active","updated_at":"2026-03-01T10:20:30Z","units":[%s]}]}`, strings.Join(units, ","))
	m.at(t, alice).must(t, http.MethodPut, "/api/hosts/"+m.id, report)
	return m
}

func write(t *testing.T, c *caller, name, value string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"value": value})
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, http.MethodPost, "/api/secrets/"+name, string(body))
}

// execute runs a file of SQL in the Worker's database with wrangler.
func execute(ctx context.Context, w *workerd.Worker, file string) error {
	_, err := w.Wrangler(ctx, "d1", "execute", "leger-db", "--yes", "--file", file)
	return err
}

// An installation moves to Cloudflare and back, each time with wrangler's own commands: what a
// caller sees is the same, machines sign in with the keys they have, what was revoked stays
// so, and the audit log fits its chains to the end.
func TestMovesThereAndBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	k := newKeys(t)
	dir := t.TempDir()
	home, export, dump := filepath.Join(dir, "home"), filepath.Join(dir, "leger.sql"), filepath.Join(dir, "d1.sql")

	url, stop := startNativeIn(t, k, home)
	alice := newCaller(t, url, k, email)
	alice.signIn(t)
	bob := alice.as(t, k, "bob@example.com")
	bob.signIn(t)
	machine := populate(t, alice, bob)
	stop() // so that some events are linked, and some are not
	url, _ = startNativeIn(t, k, home)
	alice, bob = newCaller(t, url, k, email), newCaller(t, url, k, "bob@example.com")
	revoked := revokeOne(t, alice, k)
	beforeAlice, beforeBob := events(t, alice), events(t, bob)
	runNative(t, k, "export", export, "--data", home)

	w := startWorker(t, k, func(c *workerd.Config) {
		c.Before = func(w *workerd.Worker) error { return execute(ctx, w, export) }
	})
	there, bobThere := newCaller(t, w.URL, k, email), newCaller(t, w.URL, k, "bob@example.com")
	same(t, "the Worker, alice", there, alice, beforeAlice)
	same(t, "the Worker, bob", bobThere, bob, beforeBob)
	sameForMachine(t, machine.at(t, there), machine.at(t, alice))
	if r := revoked(there).call(ctx, http.MethodGet, "/api/user", "", ""); r.status != http.StatusUnauthorized {
		t.Errorf("a token that was revoked before: %s", r)
	}
	refusesSecond(t, w, export)

	// What is done there comes back.
	there.must(t, http.MethodPost, "/api/secrets/key0/restore", `{"version":1}`)
	write(t, there, "key3", "canary-move-again")
	write(t, there, "new", "canary-move-new")
	there.must(t, http.MethodDelete, "/api/secrets/large", "")
	later := enrol(t, there, machine.user, "later")
	beforeAlice, beforeBob = events(t, there), events(t, bobThere)
	if _, err := w.Wrangler(ctx, "d1", "export", "leger-db", "--output", dump); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(dir, "back")
	said := runNative(t, k, "import", dump, "--data", back)
	if !strings.Contains(said, "The audit log fits its chains.") || strings.Contains(said, "Left out") {
		t.Error(said)
	}
	if said := runNative(t, k, "audit", "verify", "--data", back); !strings.Contains(said, "Everything fits.") {
		t.Error(said)
	}
	url, _ = startNativeIn(t, k, back)
	again, bobAgain := newCaller(t, url, k, email), newCaller(t, url, k, "bob@example.com")
	same(t, "back home, alice", again, there, beforeAlice)
	same(t, "back home, bob", bobAgain, bobThere, beforeBob)
	for _, m := range []mover{machine, later} {
		sameForMachine(t, m.at(t, again), m.at(t, there))
	}
	secrets, err := again.secrets(ctx)
	key0, key3 := secrets["key0"], secrets["key3"]
	if err != nil || key0.Value != "canary-move-0-0" || key0.Version != 4 || key3.Version != 4 {
		t.Errorf("the secrets back home: %d, %v", len(secrets), err)
	}
	hidesValues(t, k, export, dump)
	moves := 0
	for _, event := range events(t, again) {
		if strings.Contains(event, `"server.move"`) {
			moves++
		}
	}
	if moves != 2 {
		t.Errorf("%d events tell of the moves, want 2", moves)
	}
}

// hidesValues: no value and no key is in the clear on the way.
func hidesValues(t *testing.T, k keys, files ...string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, hidden := range []string{"canary-", k.encryption, k.shared} {
			if strings.Contains(string(text), hidden) {
				t.Errorf("%s holds a value or a key in the clear", file)
			}
		}
	}
}

// sameForMachine: the machine's key is known, and it is given the same secrets.
func sameForMachine(t *testing.T, got, want *caller) {
	t.Helper()
	g, err := got.secrets(t.Context())
	w, wantErr := want.secrets(t.Context())
	if err != nil || wantErr != nil || !reflect.DeepEqual(g, w) || len(g) == 0 {
		t.Errorf("the machine gets %d secrets, want %d, or they differ: %v, %v", len(g), len(w), err, wantErr)
	}
}

// revokeOne revokes a token of alice's, and gives who would use its id at another server.
func revokeOne(t *testing.T, alice *caller, k keys) func(*caller) *caller {
	t.Helper()
	claims, err := token.New(time.Now(), rand.Reader, leger.LocalIdentity(email), token.IssuerCLI, alice.url, false, "test")
	if err != nil {
		t.Fatal(err)
	}
	signed := func(c *caller) *caller {
		claims.Audience = c.url
		text, err := token.Sign(k.secret(t), claims)
		if err != nil {
			t.Fatal(err)
		}
		return &caller{url: c.url, bearer: "Bearer " + text, http: c.http}
	}
	signed(alice).must(t, http.MethodGet, "/api/user", "")
	signed(alice).must(t, http.MethodDelete, "/api/auth/token", "")
	return signed
}

// refusesSecond: a database that is in use takes no export, and is as it was.
func refusesSecond(t *testing.T, w *workerd.Worker, file string) {
	t.Helper()
	const count = `SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM audit_log) AS events,
		(SELECT epoch FROM installation) AS epoch`
	before, err := w.D1(t.Context(), "leger-db", count)
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), w, file); err == nil || !strings.Contains(err.Error(), "this database is not empty") {
		t.Errorf("a second import: %v", err)
	}
	if after, err := w.D1(t.Context(), "leger-db", count); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("the refused import made %v of %v, %v", after, before, err)
	}
}
