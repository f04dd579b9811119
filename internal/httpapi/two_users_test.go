package httpapi_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/wire"
)

// TestTwoUsersNeverMeet plays generated sequences of requests of two users, against
// every route, with the same names and with each other's ids and cursors. After
// each step what is stored for the one who did not ask is, to the byte, what it was
// before, and the answer has nothing of theirs in it.
func TestTwoUsersNeverMeet(t *testing.T) {
	t.Parallel()
	const seeds, steps = 4, 240
	var games [seeds]*game
	t.Run("sequences", func(t *testing.T) { // ends when all of them have
		for seed := range games {
			t.Run("seed "+strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				peers := map[string]leger.Peer{}
				g := &game{server: tailnetServer(t, peers, func(c *httpapi.Config) {
					c.Auth = append(c.Auth, leger.SignInSharedSecret)
				}), rng: mathrand.New(mathrand.NewPCG(uint64(seed), 0)), done: map[string]int{}}
				games[seed] = g
				g.people = newPeople(g.server.target())
				for _, name := range []string{"alice", "bob"} {
					id := g.identity(t, name)
					peers[name] = leger.Peer{Identity: id, Node: id.DeviceID, Name: "of-" + name}
				}
				g.users[0], g.users[1] = g.join(t, "alice"), g.join(t, "bob")
				for range steps {
					g.step(t)
				}
			})
		}
	})
	for _, route := range games[0].api.Routes() {
		if !slices.ContainsFunc(games[:], func(g *game) bool { return g.done[route] > 0 }) {
			t.Errorf("%s: no request of the sequences succeeded", route)
		}
	}
}

// game is one sequence.
type game struct {
	*server
	*people
	rng   *mathrand.Rand
	users [2]*side
	done  map[string]int // successes, by route
	turn  int
}

// side is one of the two users, and what is theirs.
type side struct {
	name              string
	id                leger.UserID
	token, browser    string // labels for people.authorize
	releases          []string
	sessions, cursors []string
	machines          []string
	codes, polls      []string        // of machines that wait for this user
	invitations       []string        // their ids
	tickets           []string        // their texts
	marks             map[string]bool // texts that only they may see
}

func (g *game) join(t *testing.T, name string) *side {
	t.Helper()
	id := g.identity(t, name)
	s := &side{
		name: name, id: id.UserID(), token: name, browser: name + "@0",
		marks: map[string]bool{
			"of-" + name: true, id.Email: true, id.DeviceID: true, id.TailscaleUserID.String(): true, id.UserID().String(): true,
		},
	}
	g.token(t, name)
	return s
}

func (g *game) step(t *testing.T) {
	t.Helper()
	g.turn++
	me, other := g.users[0], g.users[1]
	if g.rng.IntN(2) == 0 {
		me, other = other, me
	}
	routes := g.api.Routes()
	missing := slices.DeleteFunc(slices.Clone(routes), func(r string) bool { // some succeed only after others
		return g.done[r] > 0 || strings.Contains(r, "{code}") && len(me.codes) == 0
	})
	if len(missing) > 0 && g.rng.IntN(3) == 0 {
		routes = missing
	}
	route := routes[g.rng.IntN(len(routes))]
	label := me.token
	switch g.rng.IntN(4) {
	case 0:
		label = me.browser
	case 1:
		label = me.name + "+box"
	}
	if route == "POST /api/auth/validate" {
		label = fmt.Sprintf("%s/link#%d", g.pick("", me.name, me.name+"+box"), g.turn)
	}
	g.ensureMachine(t, me)
	r := g.request(t, route, me, other)
	before := g.stored(t, other)
	if route == "POST /api/auth/tailnet" || (route == "POST /api/enrolments" && g.rng.IntN(2) == 0) {
		r.Header.Set("Test-Peer", me.name)
	} else {
		if strings.HasPrefix(r.URL.Path, "/api/operator/") {
			label = "operator" // in the place of me, whom it is about
		}
		g.authorize(t, label, r)
	}
	res, err := roundTrip(r)
	must(t, err)
	if after := g.stored(t, other); after != before {
		t.Fatalf("step %d: %s of %s changed what is stored for %s:\nbefore %s\nafter  %s", g.turn, r.Method+" "+r.URL.String(), label, other.name, before, after)
	}
	seen := string(res.body) + headers(res.header)
	for mark := range other.marks {
		if strings.Contains(seen, mark) {
			t.Fatalf("step %d: %s answers %s with %q of %s: %s", g.turn, r.Method+" "+r.URL.String(), label, mark, other.name, res.body)
		}
	}
	if res.status < 400 {
		g.done[route]++
		g.learn(t, me)
		g.learnEnrolment(t, me, r, res)
	}
	if res.status == http.StatusUnauthorized || route == "DELETE /api/user" || route == "DELETE /api/sessions" || route == "DELETE /api/auth/token" {
		g.signInAgain(t, me)
	}
}

// signInAgain gives a user credentials that work, whatever they did to theirs.
func (g *game) signInAgain(t *testing.T, s *side) {
	t.Helper()
	// Two deletions in one second end the tokens of the next one, too.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for try, deadline := 0, time.After(10*time.Second); ; try++ {
		s.token = fmt.Sprintf("%s/again#%d.%d", s.name, g.turn, try)
		if g.as(t, s.token, http.MethodPost, "/api/auth/validate", `{"session":true}`).status == http.StatusOK {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("step %d: %s does not get in any more", g.turn, s.name)
		}
	}
	s.browser = fmt.Sprintf("%s@%d", s.name, g.turn)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.base+"/api/auth/validate", http.NoBody)
	must(t, err)
	r.Header.Set("User-Agent", "of-"+s.name)
	g.authorize(t, s.token, r)
	res, err := roundTrip(r)
	must(t, err)
	g.cookies[s.browser] = (&http.Response{Header: res.header}).Cookies()[0]
	g.learn(t, s)
}

// ensureMachine enrols the user's machine anew when it was revoked.
func (g *game) ensureMachine(t *testing.T, s *side) {
	t.Helper()
	if m := g.machines[s.name+"+box"]; m != nil {
		_, _, err := g.store.MachineUser(t.Context(), m.id)
		if err == nil {
			return
		}
		delete(g.machines, s.name+"+box")
	}
	if g.as(t, s.token, http.MethodGet, "/api/user", "").status != http.StatusOK {
		g.signInAgain(t, s)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	m := &testMachine{owner: s.name, name: "of-" + s.name, key: key}
	m.id = data[wire.MachineEnrolled](t, g.as(t, s.token, http.MethodPost, "/api/machines", m.enrolment())).ID
	g.machines[s.name+"+box"] = m
	g.learn(t, s)
}

// learn remembers the ids that are a user's own, for them and for the other to try.
func (g *game) learn(t *testing.T, s *side) {
	t.Helper()
	releases, _, err := g.store.Releases(t.Context(), s.id, leger.ReleasePage{Limit: leger.MaxPageSize})
	must(t, err)
	for _, r := range releases {
		if !s.marks[r.ID] {
			s.marks[r.ID] = true
			s.releases = append(s.releases, r.ID)
			s.cursors = append(s.cursors, base64.RawURLEncoding.EncodeToString([]byte(r.Name.Key())))
		}
	}
	machines, err := g.store.Machines(t.Context(), s.id)
	must(t, err)
	for _, m := range machines {
		if !s.marks[m.ID] {
			s.marks[m.ID], s.marks[m.Key.Fingerprint()] = true, true
			s.machines = append(s.machines, m.ID)
		}
	}
	hosts, _, err := g.store.Hosts(t.Context(), s.id, leger.HostPage{})
	must(t, err)
	for _, h := range hosts {
		s.cursors = append(s.cursors, base64.RawURLEncoding.EncodeToString([]byte(h.Name+"\n"+h.DeviceID)))
	}
	sessions, err := g.store.Sessions(t.Context(), s.id, g.api.Now())
	must(t, err)
	for _, session := range sessions {
		if !s.marks[session.ID] {
			s.marks[session.ID] = true
			s.sessions = append(s.sessions, session.ID)
		}
	}
}

// learnEnrolment remembers what a machine of the user would be enrolled by. A code and
// an invitation are for whoever has them, so the other user has only their ids.
func (g *game) learnEnrolment(t *testing.T, s *side, r *http.Request, res answer) {
	t.Helper()
	code := strings.TrimPrefix(r.URL.Path, "/api/enrolments/")
	switch {
	case r.URL.Path == "/api/enrolments":
		if state := data[wire.EnrolmentState](t, res); state.State == wire.EnrolmentWaits {
			s.codes, s.polls = append(s.codes, state.Code), append(s.polls, state.Poll)
			s.marks[state.Code], s.marks[state.Poll] = true, true
		} else if r.Header.Get("Test-Peer") == "" {
			s.tickets = s.tickets[:len(s.tickets)-1]
		}
	case (r.URL.Path == "/api/invitations" || r.URL.Path == "/api/operator/invitations") && r.Method == http.MethodPost:
		made := data[wire.InvitationMade](t, res)
		s.invitations, s.tickets = append(s.invitations, made.ID), append(s.tickets, made.Text)
		s.marks[made.ID], s.marks[made.Text] = true, true
	case r.URL.Path == "/api/sessions:link":
		s.marks[data[wire.SignInLink](t, res).URL] = true
	case code != r.URL.Path && r.Method != http.MethodGet:
		s.codes = slices.DeleteFunc(s.codes, func(c string) bool { return c == code })
	}
}

// pick takes one of the texts, or what stands for none.
func (g *game) pick(none string, from ...string) string {
	if len(from) == 0 {
		return none
	}
	return from[g.rng.IntN(len(from))]
}

// request makes a request for a route, with names both users have and with the
// ids of either.
func (g *game) request(t *testing.T, route string, me, other *side) *http.Request {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	owner := me
	if g.rng.IntN(3) == 0 {
		owner = other
	}
	ids := owner.releases
	if strings.Contains(path, "/sessions/") {
		ids = owner.sessions
	}
	if strings.Contains(path, "/machines/") {
		ids = owner.machines
	}
	if strings.Contains(path, "/invitations/") {
		ids = owner.invitations
	}
	ids = ids[max(0, len(ids)-2):] // the latest are the most likely to be there still
	device := "n" + owner.name
	if method == http.MethodPut { // a refusal would be in one's own log, with the other's id one tried
		owner, device = me, "n"+me.name
	}
	if m := g.machines[owner.name+"+box"]; m != nil && g.rng.IntN(2) == 0 {
		device = m.id
	}
	path = strings.NewReplacer(
		"{name}", g.pick("", "a", "b", "c"),
		"{id}", g.pick("00000000-0000-4000-8000-000000000000", ids...),
		"{device_id}", device,
		"{code}", g.pick("nonsense", me.codes...),
	).Replace(path)
	query := g.pick("", "", "?limit=1", "?include_values=true", "?include_secrets=true&include_deployments=true", "?name=web",
		"?action=secret.read", "?subject=a&since=2026-01-01T00:00:00Z", "?device_id="+device, "?limit=2&cursor="+g.pick("d2Vi", append(owner.cursors, "NQ", "MTAw")...))
	if method != http.MethodGet {
		query = ""
	}
	body := g.body(route, me, other)
	r, err := http.NewRequestWithContext(t.Context(), method, g.base+path+query, strings.NewReader(body))
	must(t, err)
	r.Header.Set("User-Agent", "of-"+me.name)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if match := g.pick("", "", "", "", `*`, `"1"`, `"2"`); match != "" && method != http.MethodGet {
		r.Header.Set("If-Match", match)
	}
	return r
}

// scope is one of everything, of one's own machines, or of the other's.
func (g *game) scope(me, other *side) string {
	machine := g.pick("", append(me.machines, other.machines...)...)
	return g.pick("", `{"all":true}`, fmt.Sprintf(`{"machines":[%q]}`, machine), fmt.Sprintf(`{"groups":["of-%s"]}`, me.name))
}

func (g *game) body(route string, me, other *side) string {
	value := fmt.Sprintf("of-%s-%d", me.name, g.rng.IntN(1000))
	switch route {
	case "PATCH /api/user":
		return fmt.Sprintf(`{"display_name":%q}`, value)
	case "DELETE /api/user":
		return fmt.Sprintf(`{"email":"%s@example.com"}`, g.pick("", me.name, other.name, other.name, other.name))
	case "POST /api/secrets:batch":
		return fmt.Sprintf(`{"secrets":[{"name":"a","value":%q},{"name":"b","value":%q}],"dry_run":%t}`, value, value, g.rng.IntN(3) == 0)
	case "POST /api/secrets/{name}":
		if g.rng.IntN(3) == 0 {
			return fmt.Sprintf(`{"value":%q,"scope":%s}`, value, g.scope(me, other))
		}
		return fmt.Sprintf(`{"value":%q}`, value)
	case "PUT /api/secrets/{name}/scope":
		return g.scope(me, other)
	case "POST /api/secrets/{name}/restore":
		return fmt.Sprintf(`{"version":%d}`, 1+g.rng.IntN(3))
	case "POST /api/releases":
		return fmt.Sprintf(`{"name":%q,"git_url":"https://example.com/%s","description":%q}`, g.pick("", "web", "db", "Web2", "api"), value, value)
	case "PUT /api/releases/{id}":
		return fmt.Sprintf(`{"git_url":"https://example.com/%s"}`, value)
	case "POST /api/machines":
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		m := testMachine{owner: me.name, name: value, key: key}
		return m.enrolment()
	case "POST /api/enrolments":
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		m := testMachine{owner: me.name, name: value, key: key}
		ask := strings.TrimSuffix(m.enrolment(), "}")
		if n := len(me.tickets); n > 0 && g.rng.IntN(2) == 0 {
			ask += fmt.Sprintf(`,"invitation":%q`, me.tickets[n-1])
		}
		return ask + "}"
	case "POST /api/enrolments:poll":
		return fmt.Sprintf(`{"poll":%q}`, g.pick("", me.polls...))
	case "POST /api/enrolments/{code}", "POST /api/invitations":
		return fmt.Sprintf(`{"name":%q,"groups":[%q]}`, value, "of-"+me.name)
	case "POST /api/operator/invitations":
		id := g.identities[me.name]
		return fmt.Sprintf(`{"email":%q,"tailscale_user_id":%q,"tailnet":%q}`, id.Email, id.TailscaleUserID, id.Tailnet)
	case "PATCH /api/machines/{id}":
		return fmt.Sprintf(`{"name":%q,"groups":[%q]}`, value, "of-"+me.name)
	case "PUT /api/hosts/{device_id}":
		return fmt.Sprintf(`{"name":%q,"secrets":[{"name":"of-%s","version":1}],"deployments":[]}`, value, me.name)
	default:
		return ""
	}
}

// stored is everything the store keeps for a user, sealed values and all.
func (g *game) stored(t *testing.T, s *side) string {
	t.Helper()
	ctx := t.Context()
	var b strings.Builder
	user, err := g.store.User(ctx, s.id)
	_, _ = fmt.Fprintf(&b, "%+v %v\n", user, err)
	secrets, err := g.store.SealedSecrets(ctx, s.id, nil)
	must(t, err)
	for _, secret := range secrets {
		versions, err := g.store.SecretVersions(ctx, s.id, secret.Name)
		_, _ = fmt.Fprintf(&b, "%+v %+v %v\n", secret, versions, err)
	}
	releases, _, err := g.store.Releases(ctx, s.id, leger.ReleasePage{Limit: leger.MaxPageSize})
	must(t, err)
	for _, release := range releases {
		versions, err := g.store.ReleaseVersions(ctx, s.id, release.ID)
		_, _ = fmt.Fprintf(&b, "%+v %+v %v\n", release, versions, err)
	}
	hosts, _, err := g.store.Hosts(ctx, s.id, leger.HostPage{Limit: leger.MaxPageSize})
	must(t, err)
	for _, summary := range hosts {
		host, err := g.store.Host(ctx, s.id, summary.DeviceID)
		_, _ = fmt.Fprintf(&b, "%+v %v\n", host, err)
	}
	machines, err := g.store.Machines(ctx, s.id)
	_, _ = fmt.Fprintf(&b, "%+v %v\n", machines, err)
	invitations, err := g.store.Invitations(ctx, s.id, g.api.Now())
	_, _ = fmt.Fprintf(&b, "%+v %v\n", invitations, err)
	sessions, err := g.store.Sessions(ctx, s.id, g.api.Now())
	_, _ = fmt.Fprintf(&b, "%+v %v\n", sessions, err)
	events, _, err := g.store.AuditEvents(ctx, s.id, leger.AuditPage{Limit: 3}) // the newest: they are only ever added
	_, _ = fmt.Fprintf(&b, "%+v %v\n", events, err)
	return b.String()
}
