//go:build e2e

package worker_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/workerd"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
)

// operatorTicket writes a ticket into the Worker's database.
func operatorTicket(t *testing.T, w *workerd.Worker) string {
	t.Helper()
	ticket, err := leger.NewTicket(rand.Reader, leger.OperatorPrefix)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.D1(t.Context(), "leger-db", fmt.Sprintf(`INSERT INTO operator_tickets (ticket_hash, expires_at)
		VALUES ('%s', strftime('%%Y-%%m-%%dT%%H:%%M:%%f000Z', 'now', '+1 hour'))`, ticket.Hash()))
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Reveal()
}

// operator runs scripts/worker-operator on a Worker whose storage is in state.
func operator(t *testing.T, w *workerd.Worker, state string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), root+"/scripts/worker-operator", append(args, "--url", w.URL, "--local", state)...)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("worker-operator %s: %v\n%s", args[0], err, said.String())
	}
	return out.String(), said.String()
}

// TestWithoutSharedSecret: a Worker that was given an encryption key and nothing else. The
// operator invites the first machine, which signs in with a key of its own; a token that
// somebody made with a secret, the right one of before, is no good.
func TestWithoutSharedSecret(t *testing.T) {
	t.Parallel()
	ctx, k, state := t.Context(), newKeys(t), t.TempDir()
	w := startWorker(t, k, func(c *workerd.Config) {
		c.Persist = state
		delete(c.Secrets, "JWT_SECRET")
	})
	if status, body := open(t, w.URL+"/ready"); status != http.StatusOK {
		t.Errorf("/ready: %d %s", status, body)
	}
	if _, body := open(t, w.URL+"/api/auth/methods"); !strings.Contains(body, `"methods":[{"name":"machine"}]`) {
		t.Errorf("ways to sign in: %s", body)
	}
	api := newCaller(t, w.URL, k, email)
	for _, path := range []string{"/api/auth/validate", "/api/machines"} {
		if r := api.call(ctx, http.MethodPost, path, "", `{}`); r.status != http.StatusUnauthorized || r.code() != "invalid_token" {
			t.Errorf("%s with a token of the shared secret: %s", path, r)
		}
	}

	invitation, _ := operator(t, w, state, "invite", email)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var enrolled struct {
		User    struct{ Email string }
		Machine struct{ ID, Role string }
	}
	ask := fmt.Sprintf(`{"name":"box","unix_user":"me","public_key":%q,"invitation":%q}`,
		base64.RawURLEncoding.EncodeToString(public), strings.TrimSpace(invitation))
	if err := api.call(ctx, http.MethodPost, "/api/enrolments", "", ask).data(&enrolled); err != nil {
		t.Fatal(err)
	}
	user := leger.LocalIdentity(email).UserID()
	claims, err := token.NewMachine(time.Now(), rand.Reader, enrolled.Machine.ID, user, w.URL, false, "test")
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.SignMachine(private, claims)
	if err != nil {
		t.Fatal(err)
	}
	api.bearer = "Bearer " + text
	if _, r := api.write(ctx, "a", "v", ""); r.status != http.StatusOK {
		t.Errorf("a write of the machine: %s", r)
	}
	if enrolled.User.Email != email || enrolled.Machine.Role != "full" {
		t.Errorf("enrolled %+v", enrolled)
	}
	one(t, w, "LEGER_USERS", "user:"+user.String())
	if rows, err := w.D1(ctx, "leger-db", "SELECT * FROM operator_tickets"); err != nil || len(rows) > 0 {
		t.Errorf("tickets that stay: %v %v", rows, err)
	}
}

func keyID(t *testing.T, k keys) string {
	t.Helper()
	ring, err := vault.ParseKeyRing(k.encryption, "")
	if err != nil {
		t.Fatal(err)
	}
	return ring.CurrentID()
}

// sealedBy counts records by the key that seals them.
func sealedBy(t *testing.T, w *workerd.Worker) map[string]float64 {
	t.Helper()
	rows, err := w.D1(t.Context(), "leger-db", "SELECT key_id, count(*) AS n FROM secret_versions GROUP BY key_id")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, row := range rows {
		id, _ := row["key_id"].(string)
		counts[id], _ = row["n"].(float64)
	}
	return counts
}

// TestRekey: the Worker's key changes while values are read and written, is interrupted in
// the middle, and goes on in another instance. Then the former key is taken away, and
// everything opens, also where KV still holds a copy that the former key sealed.
func TestRekey(t *testing.T) {
	t.Parallel()
	const secrets = 130
	ctx, former, state := t.Context(), newKeys(t), t.TempDir()
	next := newKeys(t)
	next.shared = former.shared
	at := func(k keys, previous string) (*workerd.Worker, *caller) {
		w := startWorker(t, k, func(c *workerd.Config) {
			if c.Persist = state; previous != "" {
				c.Secrets["ENCRYPTION_KEY_PREVIOUS"] = previous
			}
		})
		return w, newCaller(t, w.URL, k, email)
	}
	w, api := at(former, "")
	api.signIn(t)
	var items []string
	for i := range secrets {
		items = append(items, fmt.Sprintf(`{"name":"key_%03d","value":"value %d"}`, i, i))
	}
	if r := api.call(ctx, http.MethodPost, "/api/secrets:batch", "", `{"secrets":[`+strings.Join(items, ",")+`]}`); r.status != http.StatusOK {
		t.Fatal(r)
	}
	allOpen(t, api, secrets, nil)
	copies, err := w.KVGet(ctx, secretsKV, kvKey("key_001"), kvKey("key_129"))
	stale := staleCopies(t, w, copies)
	if err := errors.Join(err, w.Stop()); err != nil {
		t.Fatal(err)
	}

	w, api = at(next, former.encryption)
	asOperator := *api
	asOperator.bearer = "Bearer " + operatorTicket(t, w)
	if r := asOperator.call(ctx, http.MethodPost, "/api/operator/rekey", "", `{}`); r.status != http.StatusOK {
		t.Fatal(r)
	}
	if got := sealedBy(t, w); got[keyID(t, next)] != 50 || got[keyID(t, former)] != secrets-50 {
		t.Errorf("after one part: %v", got)
	}
	allOpen(t, api, secrets, nil)
	if err := w.Stop(); err != nil { // interrupted
		t.Fatal(err)
	}

	w, api = at(next, former.encryption)
	changed := map[string]string{"key_000": "another", "key_128": "another"}
	for name, value := range changed {
		if _, r := api.write(ctx, name, value, ""); r.status != http.StatusOK {
			t.Fatal(r)
		}
	}
	_, said := operator(t, w, state, "rekey", "--settle", "0")
	if got := sealedBy(t, w); len(got) != 1 || got[keyID(t, next)] != secrets+2 {
		t.Errorf("after all parts: %v\n%s", got, said)
	}
	list, err := w.KVList(ctx, secretsKV, "secrets:")
	if err != nil || len(list) != secrets {
		t.Errorf("%d copies, %v", len(list), err)
	}
	for _, e := range list {
		if e.Metadata["key_id"] != keyID(t, next) {
			t.Errorf("the copy %s is sealed with the key %v", e.Key, e.Metadata["key_id"])
		}
	}
	var log struct {
		Events []struct{ Credential, Detail string }
	}
	if err := api.call(ctx, http.MethodGet, "/api/audit?action=key.rotate", "", "").data(&log); err != nil ||
		len(log.Events) != 1 || log.Events[0].Credential != "operator" || log.Events[0].Detail != "key "+keyID(t, next) {
		t.Errorf("the log tells %+v, %v", log, err)
	}
	// A place that has not heard of the change yet gives such copies for up to a minute.
	if err := errors.Join(w.KVPut(ctx, secretsKV, stale...), w.Stop()); err != nil {
		t.Fatal(err)
	}

	w, api = at(next, "")
	for range 2 { // the second time from the copies that the first read repaired
		allOpen(t, api, secrets, changed)
	}
	if status, body := open(t, w.URL+"/ready"); status != http.StatusOK {
		t.Errorf("/ready: %d %s", status, body)
	}
}

// staleCopies are the copies as they are now, to be put back later.
func staleCopies(t *testing.T, w *workerd.Worker, values map[string]string) (entries []workerd.KVEntry) {
	t.Helper()
	list, err := w.KVList(t.Context(), secretsKV, "secrets:")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if value, wanted := values[e.Key]; wanted {
			e.Value = value
			entries = append(entries, e)
		}
	}
	if len(entries) != 2 {
		t.Fatalf("%d copies are there", len(entries))
	}
	return entries
}

// allOpen reads every value.
func allOpen(t *testing.T, api *caller, secrets int, changed map[string]string) {
	t.Helper()
	all, err := api.secrets(t.Context())
	if err != nil || len(all) != secrets {
		t.Fatalf("%d secrets open: %v", len(all), err)
	}
	for i := range secrets {
		name, want := fmt.Sprintf("key_%03d", i), fmt.Sprintf("value %d", i)
		if other, ok := changed[name]; ok {
			want = other
		}
		if all[name].Value != want {
			t.Errorf("%s is not what was stored", name)
		}
	}
}
