package httpapi_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// openRoutes need no credential; what they take in its place is in their bodies.
func openRoutes() []string {
	return []string{
		"GET /health", "GET /ready", "GET /api/openapi.yaml", "GET /api/auth/methods", "POST /api/auth/tailnet",
		"POST /api/enrolments", "POST /api/enrolments:poll",
	}
}

// deliverRoutes are all that a machine that only delivers may ask, for itself.
func deliverRoutes() []string {
	return []string{
		"GET /api/user", "GET /api/secrets", "GET /api/secrets/{name}", "GET /api/releases", "GET /api/releases/{id}",
		"DELETE /api/machines/{id}", "GET /api/hosts/{device_id}", "PUT /api/hosts/{device_id}",
	}
}

// operatorRoutes take the ticket of the server's operator and nothing else.
func operatorRoutes() []string {
	return []string{"POST /api/operator/invitations", "POST /api/operator/rekey"}
}

// credentials is a game in which every kind of credential is there, good and bad.
type credentials struct {
	*game

	bad map[string]func(*http.Request)
}

func bearerOf(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
}

func cookieOf(c *http.Cookie) func(*http.Request) {
	return func(r *http.Request) {
		r.AddCookie(c)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
}

func newCredentials(t *testing.T) *credentials {
	t.Helper()
	s := startServer(t, nil)
	g := &game{server: s, people: newPeople(s.target()), rng: mathrand.New(mathrand.NewPCG(3, 3)), done: map[string]int{}}
	g.users[0], g.users[1] = g.join(t, "alice"), g.join(t, "bob")
	c := &credentials{game: g, bad: map[string]func(*http.Request){"none": func(*http.Request) {}}}
	for _, who := range []string{"alice", "bob"} {
		c.ok(t, who, http.MethodPost, "/api/secrets/a", fmt.Sprintf(`{"value":"of-%s-1"}`, who))
		c.ok(t, who, http.MethodPost, "/api/releases", fmt.Sprintf(`{"name":"web","git_url":"https://example.com/of-%s"}`, who))
		c.ok(t, who, http.MethodPost, "/api/invitations", fmt.Sprintf(`{"name":"of-%s"}`, who))
		c.ok(t, who+"+box", http.MethodPut, "/api/hosts/"+g.machine(t, who+"+box").id, fmt.Sprintf(`{"name":"of-%s"}`, who))
		c.ok(t, who+"@0", http.MethodGet, "/api/user", "")
	}
	slow := g.machine(t, "alice+slow")
	c.ok(t, "alice", http.MethodPatch, "/api/machines/"+slow.id, `{"role":"deliver"}`)
	c.ok(t, "alice+slow", http.MethodPut, "/api/hosts/"+slow.id, `{"name":"slow"}`)
	c.endTokens(t)
	c.endSessions(t)
	c.endLinks(t)
	c.endTickets(t)
	c.endMachines(t)
	c.endOperator(t)
	c.endAccount(t)
	for _, u := range g.users {
		g.learn(t, u)
	}
	return c
}

func (c *credentials) ok(t *testing.T, label, method, path, body string) answer {
	t.Helper()
	res := c.as(t, label, method, path, body)
	if res.status != http.StatusOK {
		t.Fatalf("%s as %s: %d %s", method+" "+path, label, res.status, res.body)
	}
	return res
}

// endTokens makes tokens of the shared secret that are not valid, or not valid any more.
func (c *credentials) endTokens(t *testing.T) {
	t.Helper()
	for _, kind := range []string{
		"expired", "future", "long", "issuer", "audience", "no-audience", "none", "hs384", "hs512", "rs256", "eddsa",
		"rs256-header", "eddsa-header", "crit", "wrong-secret", "other-sub", "other-tailscale", "no-exp", "no-iat",
		"no-email", "bad-jti", "garbage", "huge", "long-link",
	} {
		c.bad["token, "+kind] = bearerOf(c.tokenOf(t, "alice", kind))
	}
	c.bad["token, revoked"] = bearerOf(c.token(t, "alice/#revoked"))
	c.ok(t, "alice/#revoked", http.MethodDelete, "/api/auth/token", "")
	c.bad["no scheme"] = func(r *http.Request) { r.Header.Set("Authorization", c.token(t, "alice")) }
	c.bad["basic"] = func(r *http.Request) { r.SetBasicAuth("alice", c.token(t, "alice")) }
	c.bad["token as cookie"] = cookieOf(&http.Cookie{Name: "leger_session", Value: c.token(t, "alice")})
}

// endSessions: browsers that were signed out, idle, or here for 30 days.
func (c *credentials) endSessions(t *testing.T) {
	t.Helper()
	c.ok(t, "alice@ended", http.MethodGet, "/api/user", "")
	ended := c.cookies["alice@ended"]
	c.bad["session, ended"] = cookieOf(ended)
	for _, s := range data[wire.Sessions](t, c.ok(t, "alice@ended", http.MethodGet, "/api/sessions", "")).Sessions {
		if s.Current {
			c.ok(t, "alice", http.MethodDelete, "/api/sessions/"+s.ID, "")
		}
	}
	now := time.Now()
	for name, s := range map[string]leger.Session{
		"idle":    {LastSeen: now.Add(-leger.SessionIdle - time.Second), ExpiresAt: now.Add(time.Hour)},
		"expired": {LastSeen: now, ExpiresAt: now.Add(-time.Second)},
	} {
		s.Hash, s.ID, s.User, s.CreatedAt = leger.HashSession(name), "00000000-0000-4000-8000-00000000000"+name[:1], c.users[0].id, now
		id := c.identity(t, "alice")
		e := leger.AuditEvent{At: now, User: s.User, Action: leger.ActionSignIn}
		_, _, err := c.store.SignIn(t.Context(), leger.SignIn{Identity: id, At: now, Audit: e}, &s)
		must(t, err)
		c.bad["session, "+name] = cookieOf(&http.Cookie{Name: "leger_session", Value: name})
	}
	c.bad["session, unknown"] = cookieOf(&http.Cookie{Name: "leger_session", Value: strings.Repeat("A", 43)})
	c.bad["session, its hash"] = cookieOf(&http.Cookie{Name: "leger_session", Value: string(leger.HashSession(ended.Value))})
	c.bad["session as bearer"] = bearerOf(c.cookies["alice@0"].Value)
	c.bad["session in another cookie"] = cookieOf(&http.Cookie{Name: "__Host-leger_session", Value: c.cookies["alice@0"].Value})
}

// endLinks: links sign a browser in, once, and open nothing themselves.
func (c *credentials) endLinks(t *testing.T) {
	t.Helper()
	used := c.handOn(t, "alice@0")
	if res, _ := c.accept(t, used); res.status != http.StatusOK {
		t.Fatalf("use a link: %d %s", res.status, res.body)
	}
	c.bad["link, used"] = bearerOf(used)
	ended := c.handOn(t, "alice@gone")
	c.ok(t, "alice@gone", http.MethodDelete, "/api/sessions/"+c.current(t, "alice@gone"), "")
	c.bad["link of an ended session"] = bearerOf(ended)
	c.bad["link, made up"] = bearerOf(leger.LinkPrefix + strings.Repeat("A", 43))
	c.bad["link, cut"] = bearerOf(used[:len(used)-1])
	for name, label := range map[string]string{"token's": "alice/link#spent", "machine's": "alice+box/link#spent"} {
		spent := c.token(t, label)
		if res := c.send(t, http.MethodPost, "/api/auth/validate", "", spent); res.status != http.StatusOK {
			t.Fatalf("use a link: %d %s", res.status, res.body)
		}
		c.bad[name+" link, used"] = bearerOf(spent)
	}
}

// current is the id of a browser's own session.
func (c *credentials) current(t *testing.T, browser string) string {
	t.Helper()
	for _, s := range data[wire.Sessions](t, c.ok(t, browser, http.MethodGet, "/api/sessions", "")).Sessions {
		if s.Current {
			return s.ID
		}
	}
	t.Fatalf("%s is not signed in", browser)
	return ""
}

// endTickets: invitations and polls enrol a machine and open nothing.
func (c *credentials) endTickets(t *testing.T) {
	t.Helper()
	made := data[wire.InvitationMade](t, c.ok(t, "alice", http.MethodPost, "/api/invitations", `{"name":"open"}`))
	c.bad["invitation"] = bearerOf(made.Text)
	withdrawn := data[wire.InvitationMade](t, c.ok(t, "alice", http.MethodPost, "/api/invitations", `{"name":"withdrawn"}`))
	c.ok(t, "alice", http.MethodDelete, "/api/invitations/"+withdrawn.ID, "")
	c.bad["invitation, withdrawn"] = bearerOf(withdrawn.Text)
	asked := data[wire.EnrolmentState](t, c.ok(t, "nobody", http.MethodPost, "/api/enrolments",
		`{"name":"box","unix_user":"me","public_key":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	c.bad["poll"] = bearerOf(asked.Poll)
	c.bad["code"] = bearerOf(asked.Code)
}

// operatorTicket is the one of bad that is good at operatorRoutes.
const operatorTicket = "operator's ticket"

// endOperator: the ticket of the server's operator opens nothing of anybody's, and one
// that is over, or open for longer than one may be, opens nothing at all.
func (c *credentials) endOperator(t *testing.T) {
	t.Helper()
	c.bad[operatorTicket] = bearerOf(c.operator(t))
	c.bad["operator's ticket, over"] = bearerOf(c.operatorTicket(t, time.Now().Add(-time.Second)))
	c.bad["operator's ticket for a year"] = bearerOf(c.operatorTicket(t, time.Now().AddDate(1, 0, 0)))
	c.bad["operator's ticket, made up"] = bearerOf(leger.OperatorPrefix + strings.Repeat("A", 43))
	c.bad["operator's ticket, cut"] = bearerOf(c.operator(t)[:57])
	ticket, err := leger.ParseTicket("", leger.OperatorPrefix, c.operator(t))
	must(t, err)
	c.bad["operator's ticket, its hash"] = bearerOf(string(ticket.Hash()))
	c.bad["operator's ticket as cookie"] = cookieOf(&http.Cookie{Name: "leger_session", Value: c.operator(t)})
}

// endMachines: tokens that no honest machine makes, and those of one that was revoked.
func (c *credentials) endMachines(t *testing.T) {
	t.Helper()
	box := c.machine(t, "alice+box")
	for _, kind := range badMachineTokens() {
		if kind != "link" { // good, for POST /api/auth/validate
			c.bad["machine, "+kind] = bearerOf(c.machineToken(t, box, kind))
		}
	}
	c.bad["machine token as cookie"] = cookieOf(&http.Cookie{Name: "leger_session", Value: c.machineToken(t, box, "")})
	for _, role := range []string{"full", "deliver"} {
		m := c.machine(t, "alice+gone-"+role)
		c.ok(t, "alice", http.MethodPatch, "/api/machines/"+m.id, fmt.Sprintf(`{"role":%q}`, role))
		c.bad["machine, revoked, "+role] = bearerOf(c.machineToken(t, m, ""))
		c.ok(t, "alice", http.MethodDelete, "/api/machines/"+m.id, "")
	}
}

// endAccount: credentials of somebody who deleted the account.
func (c *credentials) endAccount(t *testing.T) {
	t.Helper()
	text := c.token(t, "dave")
	m := c.machine(t, "dave+box")
	c.bad["machine of a deleted account"] = bearerOf(c.machineToken(t, m, ""))
	link := c.handOn(t, "dave@laptop")
	c.bad["link of a deleted account"] = bearerOf(link)
	c.bad["session of a deleted account"] = cookieOf(c.cookies["dave@laptop"])
	c.ok(t, "dave", http.MethodDelete, "/api/user", `{"email":"dave@example.com"}`)
	c.bad["token of a deleted account"] = bearerOf(text)
}

// TestNoBadCredentialOpensARoute tries every bad credential at every route: each is
// refused in the same words, and nothing that is stored changes.
func TestNoBadCredentialOpensARoute(t *testing.T) {
	t.Parallel()
	c := newCredentials(t)
	if len(c.bad) < 60 {
		t.Errorf("%d bad credentials", len(c.bad))
	}
	before := [2]string{c.stored(t, c.users[0]), c.stored(t, c.users[1])}
	for _, route := range c.api.Routes() {
		if slices.Contains(openRoutes(), route) {
			continue
		}
		shapes := map[string][]string{}
		for name, authorize := range c.bad {
			if name == operatorTicket && slices.Contains(operatorRoutes(), route) {
				continue
			}
			res := c.try(t, route, c.users[0], authorize)
			if res.status != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d %s", route, name, res.status, res.body)
				continue
			}
			if cookie := res.header.Get("Set-Cookie"); cookie != "" {
				t.Errorf("%s with %s sets a cookie", route, name)
			}
			_, id := failure(t, res)
			shape := res.header.Get("WWW-Authenticate") + " " + strings.ReplaceAll(string(res.body), id, "ID")
			shapes[shape] = append(shapes[shape], name)
		}
		// Whoever has a link may know that it was used: that is why it opens nothing.
		if len(shapes) != 1 && route != "POST /api/auth/validate" {
			t.Errorf("%s refuses in %d ways: %v", route, len(shapes), shapes)
		}
	}
	for i, s := range c.users {
		if after := c.stored(t, s); after != before[i] {
			t.Errorf("what is stored for %s changed:\nbefore %s\nafter  %s", s.name, before[i], after)
		}
	}
}

// TestOnlyTheOperatorIsOne tries every kind of credential that opens other routes at those
// of the operator.
func TestOnlyTheOperatorIsOne(t *testing.T) {
	t.Parallel()
	c := newCredentials(t)
	for _, route := range operatorRoutes() {
		shapes := map[string]bool{}
		for _, label := range []string{"nobody", "alice", "alice/spec", "alice+box", "alice+slow", "alice@0"} {
			res := c.try(t, route, c.users[0], func(r *http.Request) { c.authorize(t, label, r) })
			if res.status != http.StatusUnauthorized {
				t.Errorf("%s as %s: %d %s", route, label, res.status, res.body)
			}
			_, id := failure(t, res)
			shapes[strings.ReplaceAll(string(res.body), id, "ID")] = true
		}
		if len(shapes) != 1 {
			t.Errorf("%s refuses in %d ways: %v", route, len(shapes), shapes)
		}
		if res := c.try(t, route, c.users[0], bearerOf(c.operator(t))); res.status != http.StatusOK {
			t.Errorf("%s as the operator: %d %s", route, res.status, res.body)
		}
	}
	refused := 0
	for _, e := range c.allAudit(t.Context(), t, leger.UserID{}) {
		if e.Action == leger.ActionSignInRefused && e.Detail == "not the ticket of an operator" {
			refused++
		}
	}
	if refused < 8 {
		t.Errorf("%d refusals are on the log", refused)
	}
}

// try asks a route as the game does, with a credential.
func (c *credentials) try(t *testing.T, route string, as *side, authorize func(*http.Request)) answer {
	t.Helper()
	r := c.request(t, route, as, as)
	r.Header.Del("If-Match")
	authorize(r)
	res, err := roundTrip(r)
	must(t, err)
	return res
}

// TestAMachineThatOnlyDeliversIsToldNothingElse tries every route: what is not for such a
// machine is forbidden, and with the ids of another user nothing of theirs is shown or
// changed by what is.
func TestAMachineThatOnlyDeliversIsToldNothingElse(t *testing.T) {
	t.Parallel()
	c := newCredentials(t)
	slow := c.machine(t, "alice+slow")
	alice, bob := c.users[0], c.users[1]
	for _, route := range c.api.Routes() {
		if slices.Contains(openRoutes(), route) || slices.Contains(operatorRoutes(), route) || route == "POST /api/auth/validate" {
			continue
		}
		delivers := slices.Contains(deliverRoutes(), route)
		before := [2]string{c.stored(t, alice), c.stored(t, bob)}
		for range 6 { // with own names and ids, and with the other's
			r := c.request(t, route, alice, bob)
			c.authorize(t, "alice+slow", r)
			if route == "DELETE /api/machines/{id}" && strings.HasSuffix(r.URL.Path, slow.id) {
				continue // it may give its own access up
			}
			res, err := roundTrip(r)
			must(t, err)
			if !delivers && (res.status != http.StatusForbidden || !strings.Contains(string(res.body), "only delivers")) {
				t.Errorf("%s: %d %s", r.Method+" "+r.URL.String(), res.status, res.body)
			}
			for mark := range bob.marks {
				if strings.Contains(string(res.body)+headers(res.header), mark) {
					t.Errorf("%s shows %q of bob: %s", r.Method+" "+r.URL.String(), mark, res.body)
				}
			}
		}
		if after := c.stored(t, bob); after != before[1] {
			t.Errorf("%s changes what is stored for bob", route)
		}
		if after := c.stored(t, alice); !delivers && withoutEvents(after) != withoutEvents(before[0]) {
			t.Errorf("%s changes what is stored for alice:\nbefore %s\nafter  %s", route, before[0], after)
		}
	}
}

// withoutEvents leaves out what is on the log: refusals are.
func withoutEvents(stored string) string {
	lines := strings.Split(strings.TrimSuffix(stored, "\n"), "\n")
	return strings.Join(lines[:len(lines)-1], "\n")
}
