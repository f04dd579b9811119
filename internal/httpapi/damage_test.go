package httpapi_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
	"leger.run/leger/internal/wire"
)

// flipsTested is how many single-byte flips TestDamagedDatabaseLacksNoSecret tries;
// LEGER_FLIPS asks for more (make flips).
const flipsTested = 150

// One flipped byte of a name made a list without that secret, with status 200 and
// /ready ok, and the next sync removed it from the machine: 4 of 200 flips were
// silent. Whatever byte is flipped, an answer of 200 has every secret with its value,
// also after signing in again.
func TestDamagedDatabaseLacksNoSecret(t *testing.T) {
	t.Parallel()
	d := newDamaged(t)
	flips := flipsTested
	if text := os.Getenv("LEGER_FLIPS"); text != "" {
		var err error
		flips, err = strconv.Atoi(text)
		must(t, err)
	}
	random := mathrand.New(mathrand.NewPCG(1, 2)) // the same flips in every run
	outcomes := map[string]int{}
	for range flips {
		at, mask := d.used[random.IntN(len(d.used))], byte(1)<<random.IntN(8)
		if random.IntN(2) == 0 {
			mask = byte(1 + random.IntN(255))
		}
		outcomes[d.flip(t, at, mask)]++
	}
	t.Logf("%d bytes, %d flips: %v", len(d.content), flips, outcomes)
}

// A flip made the name of one secret that of another with as many versions: the list
// without values had the number of secrets that the account counts, one of them twice.
func TestDamagedNameIsNoOtherSecrets(t *testing.T) {
	t.Parallel()
	d := newDamaged(t)
	const name = "API_KEY_3"
	refused := 0
	for at := 0; ; at++ {
		next := bytes.Index(d.content[at:], []byte(name))
		if next < 0 {
			break
		}
		at += next
		if d.flip(t, at+len(name)-1, '3'^'0') == "refused" {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no place of the name mattered")
	}
}

// damaged is a database of a few secrets, to be damaged again and again.
type damaged struct {
	dir     string
	content []byte
	used    []int // the bytes near something that is not 0
	ring    *vault.KeyRing
	shared  token.Secret
	bearer  string
	want    map[string]string
}

func newDamaged(t *testing.T) *damaged {
	t.Helper()
	s := startServer(t, nil)
	p := newPeople(s.target())
	d := &damaged{dir: t.TempDir(), shared: s.secret, bearer: p.token(t, "alice"), want: map[string]string{}}
	var err error
	d.ring, err = vault.ParseKeyRing(s.key, "")
	must(t, err)
	for i := range 12 {
		name := fmt.Sprintf("API_KEY_%d", i)
		for v := range 1 + i%3 {
			d.want[name] = strings.Repeat(fmt.Sprintf("value %d of %s ", v, name), 1+i*8)
			body, err := json.Marshal(wire.SecretPut{Value: d.want[name]})
			must(t, err)
			if res := p.as(t, "alice", http.MethodPost, "/api/secrets/"+name, string(body)); res.status != http.StatusOK {
				t.Fatalf("put: %d %s", res.status, res.body)
			}
		}
	}
	// Some were deleted, and there is somebody else.
	p.as(t, "alice", http.MethodPost, "/api/secrets/gone", `{"value":"x"}`)
	p.as(t, "alice", http.MethodDelete, "/api/secrets/gone", "")
	p.as(t, "bob", http.MethodPost, "/api/secrets/API_KEY_1", `{"value":"of bob"}`)
	must(t, s.store.Close())
	d.content, err = os.ReadFile(s.path)
	must(t, err)
	const near = 8
	last := -near - 1
	for i, b := range d.content {
		if b == 0 && i-last > near {
			continue
		}
		if b != 0 {
			last = i
		}
		d.used = append(d.used, i)
	}
	return d
}

// flip serves the database with one byte changed, and tells what came of it.
func (d *damaged) flip(t *testing.T, at int, mask byte) string {
	t.Helper()
	path := filepath.Join(d.dir, "flipped.db")
	for _, old := range []string{path, path + "-wal", path + "-shm", path + "-journal"} {
		_ = os.Remove(old)
	}
	content := append([]byte(nil), d.content...)
	content[at] ^= mask
	must(t, os.WriteFile(path, content, 0o600))
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Readers: 2})
	if err != nil {
		return "does not open"
	}
	defer func() { _ = store.Close() }() // may find the damage, too
	api, err := httpapi.New(httpapi.Config{
		Vault:  vault.New(vault.Config{Keys: d.ring, Secrets: store, Now: time.Now, Random: rand.Reader}),
		Stores: store, SharedSecret: func() token.Secret { return d.shared }, PublicURL: "http://localhost", Version: "test", Web: http.NotFoundHandler(),
		Requests: httpapi.Unlimited{}, Refusals: httpapi.Unlimited{}, Now: time.Now, Random: rand.Reader,
		Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+d.bearer)
		if body != "" {
			r.Header.Set("Content-Type", wire.ContentType)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w
	}
	where := fmt.Sprintf("byte %d ^ %02x", at, mask)
	outcome := "whole"
	for range 2 {
		for _, list := range []string{"/api/secrets", "/api/secrets?include_values=true"} {
			res := ask(http.MethodGet, list, "")
			if res.Code != http.StatusOK {
				outcome = "refused"
				continue
			}
			d.checkList(t, where+" "+list, res.Body.Bytes(), strings.Contains(list, "values"))
		}
		// What the user is told to do after a 401.
		ask(http.MethodPost, "/api/auth/validate", `{"session":false}`)
	}
	return outcome
}

func (d *damaged) checkList(t *testing.T, where string, body []byte, values bool) {
	t.Helper()
	var env wire.Envelope[wire.Secrets]
	if err := json.Unmarshal(body, &env); err != nil || env.Data == nil {
		t.Fatalf("%s: %v", where, err)
	}
	have := map[leger.SecretName]string{}
	for _, s := range env.Data.Secrets {
		have[s.Name] = ""
		if s.Value != nil {
			have[s.Name] = *s.Value
		}
	}
	if len(have) != len(d.want) {
		t.Errorf("%s: status 200 with %d secrets, not %d", where, len(have), len(d.want))
	}
	for text, value := range d.want {
		name, err := leger.ParseSecretName(text)
		must(t, err)
		if got, ok := have[name]; !ok || (values && got != value) {
			t.Errorf("%s: status 200, but %s is there: %t, with %d bytes for %d", where, name, ok, len(got), len(value))
		}
	}
}
