//go:build e2e

package cloudflare_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/workerd"
	"leger.run/leger/internal/cloudflare"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
	"leger.run/leger/migrations"
)

// cost is what D1 was asked for: statements, and the rows that it bills.
type cost struct{ statements, read, written int }

// metered adds up what is asked of D1.
type metered struct {
	remote

	cost
}

func (m *metered) Do(ctx context.Context, op cloudflare.Operation) ([]byte, error) {
	if op.Kind == "probe" { // this Worker lacks what costs nothing: say that it is well
		return bytes.Repeat([]byte{2, 2, 0, 0, 0, 'o', 'k'}, len(op.Probe)), nil
	}
	m.statements += len(op.Statements)
	body, header, err := m.do(ctx, op)
	if err == nil && len(op.Statements) > 0 {
		var read, written int
		_, err = fmt.Sscan(header.Get("Rows"), &read, &written)
		m.read, m.written = m.read+read, m.written+written
	}
	return body, err
}

// payer is a user whose requests are paid for.
type payer struct {
	t       *testing.T
	meter   *metered
	url     string
	store   *cloudflare.Store
	ring    *vault.KeyRing
	secret  token.Secret
	id      leger.Identity
	key     ed25519.PrivateKey
	machine string
	cookie  string
	now     time.Time
	costs   map[string]cost
}

// TestCosts: the table of docs/cloudflare.md is what D1 counts. It had gone stale with
// every statement that was added since it was written.
func TestCosts(t *testing.T) {
	t.Parallel()
	const secrets = 30
	p := newPayer(t, startOperations(t))
	p.signIn()
	p.browse(secrets)
	p.sync(secrets)
	p.rest()
	for _, row := range costTable(t) {
		got, measured := p.costs[row.operation]
		if !measured {
			if row.says == [3]bool{true, true, true} {
				t.Errorf("nobody measures %q", row.operation)
			}
			continue
		}
		delete(p.costs, row.operation)
		for i, n := range []int{got.statements, got.read, got.written} {
			if want := row.terms[i][0]*secrets + row.terms[i][1]; row.says[i] && n != want {
				t.Errorf("%s, with %d secrets: %+v, and the table says %d instead of %d", row.operation, secrets, got, want, n)
			}
		}
	}
	for operation, c := range p.costs {
		t.Errorf("the table lacks %q: %+v", operation, c)
	}
}

// costRow is a row of the table; terms are N's factor and what is added, for
// statements, rows read and rows written.
type costRow struct {
	operation string
	says      [3]bool // as a number
	terms     [3][2]int
}

// costTable reads the table. What follows a number after a comma is for other cases
// than the one that is measured.
func costTable(t *testing.T) []costRow {
	t.Helper()
	text, err := os.ReadFile("../../docs/cloudflare.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| operation | requests |")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatal("docs/cloudflare.md has no table of costs")
	}
	term := regexp.MustCompile(`^(?:(\d*)N(?: \+ (\d+))?|(\d+))(?:,.*)?$`)
	var rows []costRow
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 7 || strings.Contains(line, "---") {
			continue
		}
		row := costRow{operation: strings.TrimSpace(cells[1])}
		for i := range row.terms {
			m := term.FindStringSubmatch(strings.TrimSpace(cells[3+i]))
			if m == nil {
				continue
			}
			row.says[i] = true
			row.terms[i] = [2]int{number(m[1], strings.Contains(m[0], "N")), number(m[2]+m[3], false)}
		}
		rows = append(rows, row)
	}
	return rows
}

// number reads a number; none is 1 where one says so.
func number(text string, one bool) int {
	if text == "" && one {
		return 1
	}
	n, _ := strconv.Atoi(text) // none is 0
	return n
}

func newPayer(t *testing.T, w *workerd.Worker) *payer {
	t.Helper()
	p := &payer{
		t: t, meter: &metered{remote: remote{url: w.Direct, meter: true}}, id: leger.LocalIdentity("alice@localhost"),
		now: time.Now().UTC().Truncate(time.Minute), costs: map[string]cost{},
	}
	p.meter.migrate(t)
	all, err := migrations.All()
	p.must(err)
	script := "CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);" // as wrangler notes them
	for _, m := range all {
		script += "INSERT INTO d1_migrations (name) VALUES ('" + m.Name + ".sql');"
	}
	p.must(cloudflare.RunScript(t.Context(), p.meter, script))
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	now := func() time.Time { return p.now }
	p.store = cloudflare.NewStore(p.meter, now, log)
	key, err := vault.NewKey(rand.Reader)
	p.must(err)
	p.ring, err = vault.ParseKeyRing(key, "")
	p.must(err)
	p.secret, err = token.ParseSecret(bytes.Repeat([]byte("s"), 48))
	p.must(err)
	server := httptest.NewUnstartedServer(nil)
	p.url = "http://" + server.Listener.Addr().String()
	server.Config.Handler, err = httpapi.New(httpapi.Config{
		Vault: vault.New(vault.Config{Keys: p.ring, Secrets: p.store, Now: now, Random: rand.Reader}), Stores: p.store,
		SharedSecret: func() token.Secret { return p.secret }, PublicURL: p.url, Version: "test", Web: http.NotFoundHandler(),
		Requests: httpapi.Unlimited{}, Refusals: httpapi.Unlimited{}, Now: now, Random: rand.Reader, Log: log,
	})
	p.must(err)
	server.Start()
	t.Cleanup(server.Close)
	_, p.key, err = ed25519.GenerateKey(rand.Reader)
	p.must(err)
	return p
}

func (p *payer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// pay does something under the name that it has in the table.
func (p *payer) pay(operation string, do func()) {
	p.meter.cost = cost{}
	do()
	if operation != "" {
		p.costs[operation] = p.meter.cost
	}
}

// shared is a token made with the shared secret.
func (p *payer) shared() string {
	claims, err := token.New(p.now, rand.Reader, p.id, token.IssuerCLI, p.url, false, "test")
	p.must(err)
	text, err := token.Sign(p.secret, claims)
	p.must(err)
	return text
}

// own is a token that the machine signs itself.
func (p *payer) own(link bool) string {
	claims, err := token.NewMachine(p.now, rand.Reader, p.machine, p.id.UserID(), p.url, link, "test")
	p.must(err)
	text, err := token.SignMachine(p.key, claims)
	p.must(err)
	return text
}

// call sends a request with a token, or with the browser's session for "", and decodes
// what a success holds. It gives the ETag.
func (p *payer) call(bearer, method, path, body, etag string, out any) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	p.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	if req.Header.Set("Authorization", "Bearer "+bearer); bearer == "" {
		req.Header.Del("Authorization")
		req.Header.Set("Cookie", p.cookie)
	}
	res, err := http.DefaultClient.Do(req)
	p.must(err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	p.must(err)
	want := http.StatusOK
	if etag != "" {
		want = http.StatusNotModified
	}
	if res.StatusCode != want {
		p.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, text)
	}
	for _, c := range res.Cookies() {
		p.cookie = c.Name + "=" + c.Value
	}
	if out != nil {
		p.must(json.Unmarshal(text, &struct{ Data any }{out}))
	}
	return res.Header.Get("ETag")
}

func (p *payer) signIn() {
	public, _ := p.key.Public().(ed25519.PublicKey)
	p.pay("", func() { p.must(p.store.Check(p.t.Context(), p.ring, rand.Reader)) }) // makes the audit log's key
	p.pay("first request in a new isolate", func() { p.must(p.store.Check(p.t.Context(), p.ring, rand.Reader)) })
	p.pay("", func() { p.call(p.shared(), "POST", "/api/auth/validate", `{"session":false}`, "", nil) })
	bearer := p.shared()
	p.pay("`leger auth login` with the shared secret", func() {
		p.call(bearer, "POST", "/api/auth/validate", `{"session":false}`, "", nil)
		body := fmt.Sprintf(`{"name":"box","unix_user":"me","public_key":%q}`, base64.RawURLEncoding.EncodeToString(public))
		var enrolled struct{ ID string }
		p.call(bearer, "POST", "/api/machines", body, "", &enrolled)
		p.machine = enrolled.ID
	})
	p.pay("… by the machine's own key, again", func() { p.call(p.own(false), "GET", "/api/user", "", "", nil) })
	p.pay("sign in a browser with the link", func() { p.call(p.own(true), "POST", "/api/auth/validate", "", "", nil) })
}

// browse is what a browser does; n secrets are there then.
func (p *payer) browse(n int) {
	put := func(name, value string) func() {
		return func() { p.call("", "POST", "/api/secrets/"+name, fmt.Sprintf(`{"value":%q}`, value), "", nil) }
	}
	for i := range n {
		put(fmt.Sprintf("key_%03d", i), "one")()
	}
	p.pay("a key typed in, new", put("another", "one"))
	p.pay("… changed", put("another", "two"))
	p.pay("… the same value again", put("another", "two"))
	get := func() { p.call(p.own(false), "GET", "/api/secrets/another", "", "", nil) }
	get() // the first one in a minute
	p.pay("one value, `leger secrets get`", get)
	p.pay("a secret deleted", func() { p.call("", "DELETE", "/api/secrets/another", "", "", nil) })
	p.pay("a page's list of secrets", func() { p.call("", "GET", "/api/secrets", "", "", nil) })
}

// sync is what a machine does.
func (p *payer) sync(n int) {
	const path = "/api/secrets?include_values=true"
	etag := ""
	p.pay("sync, something changed", func() { etag = p.call(p.own(false), "GET", path, "", "", nil) })
	p.pay("sync, nothing changed (304)", func() { p.call(p.own(false), "GET", path, "", etag, nil) })
	var held []string
	for i := range n {
		held = append(held, fmt.Sprintf(`{"name":"key_%03d","version":1}`, i))
	}
	report := func() {
		body := `{"name":"box","secrets":[` + strings.Join(held, ",") + `]}`
		p.call(p.own(false), "PUT", "/api/hosts/"+p.machine, body, "", nil)
	}
	p.pay("", report)
	p.pay("report of a machine after a sync", report)
}

func (p *payer) rest() {
	p.now = p.now.Add(10 * time.Minute)
	prune := func() {
		_, err := p.store.Prune(p.t.Context(), p.now)
		p.must(err)
	}
	p.pay("", prune) // links what was done until now
	p.pay("the schedule, every hour", prune)
	p.now = p.now.Add(time.Minute)
	p.first("a machine's first request in a minute, beside", p.own(false))
	p.first("a browser's first request in a minute, beside", "")
	p.pay("a machine revoked, `leger auth logout`", func() { p.call(p.own(false), "DELETE", "/api/machines/"+p.machine, "", "", nil) })
}

// first pays for what the first request of a minute costs more than the second.
func (p *payer) first(operation, bearer string) {
	user := func() { p.call(bearer, "GET", "/api/user", "", "", nil) }
	p.pay(operation, user)
	first := p.meter.cost
	p.pay("", user)
	second := p.meter.cost
	p.costs[operation] = cost{first.statements - second.statements, first.read - second.read, first.written - second.written}
}
