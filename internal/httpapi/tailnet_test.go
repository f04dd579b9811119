package httpapi_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/wire"
)

// tailnetServer takes Tailscale's word, which for the test is what the header Test-Peer
// names.
func tailnetServer(t *testing.T, peers map[string]leger.Peer, change func(*httpapi.Config)) *server {
	t.Helper()
	return startServer(t, func(c *httpapi.Config) {
		c.Auth = []leger.SignInMethod{leger.SignInTailnet, leger.SignInMachine}
		c.WhoIs = func(r *http.Request) (leger.Peer, error) {
			name := r.Header.Get("Test-Peer")
			if name == "broken" {
				return leger.Peer{}, leger.Errorf(leger.CodeMissingPart, "tailscaled is not running")
			}
			p, ok := peers[name]
			if !ok {
				return leger.Peer{}, leger.Errorf(leger.CodeNotFound, "no match for IP:port")
			}
			return p, nil
		}
		if change != nil {
			change(c)
		}
	})
}

// atItsName is the public URL of postAs's requests.
func atItsName(c *httpapi.Config) { c.PublicURL = "https://leger.example.ts.net" }

func personAt(n uint64, email, node string) leger.Peer {
	return leger.Peer{
		Identity: leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(n), Email: email, Tailnet: "example.ts.net", DeviceID: node},
		Node:     node, Name: "phone",
	}
}

func (s *server) postAs(t *testing.T, peer, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
	must(t, err)
	r.Host = "leger.example.ts.net"
	r.Header.Set("Test-Peer", peer)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	res, err := roundTrip(r)
	must(t, err)
	return res
}

// A browser on the tailnet is signed in with one request, as who Tailscale says.
func TestBrowserOnTheTailnet(t *testing.T) {
	t.Parallel()
	alice := personAt(123, "alice@github", "nPhone")
	s := tailnetServer(t, map[string]leger.Peer{
		"alice": alice, "alice-again": personAt(123, "alice@github", "nLaptop"), "bob": personAt(456, "bob@github", "nBob"),
		"tagged": {Node: "nTag", Name: "ci", Tags: []string{"tag:ci"}},
	}, atItsName)
	got := map[string]leger.UserID{}
	for _, who := range []string{"alice", "alice-again", "bob"} {
		res := s.postAs(t, who, "/api/auth/tailnet", "")
		cookies := (&http.Response{Header: res.header}).Cookies()
		if res.status != http.StatusOK || len(cookies) != 1 {
			t.Fatalf("%s: %d %s", who, res.status, res.body)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/user", http.NoBody)
		must(t, err)
		r.AddCookie(cookies[0])
		user, err := roundTrip(r)
		must(t, err)
		got[who] = data[wire.Profile](t, user).UserUUID
	}
	if got["alice"] != alice.Identity.UserID() || got["alice-again"] != got["alice"] || got["bob"] == got["alice"] {
		t.Errorf("signed in as %v", got)
	}
	events := s.allAudit(t.Context(), t, got["alice"])
	if len(events) != 2 || events[0].Credential != leger.CredentialTailnet || events[0].Detail != "tailnet phone" {
		t.Errorf("audit: %+v", events)
	}

	for what, c := range map[string]struct {
		peer, says string
		header     []string
		status     int
	}{
		"a stranger":                 {peer: "nobody", says: "does not say who you are", status: 403},
		"a tagged device":            {peer: "tagged", says: "tag:ci", status: 403},
		"tailscaled is away":         {peer: "broken", says: "does not answer", status: 503},
		"a name that rebinds":        {peer: "alice", header: []string{"Host", "evil.example"}, says: "own name", status: 403},
		"the same name, other port":  {peer: "alice", header: []string{"Host", "leger.example.ts.net:8443"}, says: "own name", status: 403},
		"another site's page":        {peer: "alice", header: []string{"Sec-Fetch-Site", "cross-site"}, says: "another site", status: 403},
		"another site's page of old": {peer: "alice", header: []string{"Origin", "https://evil.example"}, says: "another site", status: 403},
	} {
		res := s.postAs(t, c.peer, "/api/auth/tailnet", "", c.header...)
		if res.status != c.status || !strings.Contains(string(res.body), c.says) || res.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", what, res.status, res.body)
		}
	}
	// Tokens of a secret that this server does not take sign nobody in.
	p := newPeople(s.target())
	if res := p.send(t, http.MethodPost, "/api/auth/validate", "", p.tokenOf(t, "alice", "")); res.status != http.StatusUnauthorized {
		t.Errorf("shared secret: %d %s", res.status, res.body)
	}
}

// A server that does not ask Tailscale believes nobody's word for it.
func TestTailnetIsNotAsked(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	res := s.postAs(t, "alice", "/api/auth/tailnet", "", "Tailscale-User-Login", "alice@github", "X-Forwarded-For", "100.64.0.1")
	if res.status != http.StatusForbidden || res.header.Get("Set-Cookie") != "" {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// A command on the tailnet enrols its machine without a question; a tagged device does
// where the policy says whose it is.
func TestMachineOnTheTailnet(t *testing.T) {
	t.Parallel()
	grant := func(owner string) *leger.MachineGrant {
		return &leger.MachineGrant{Owner: owner, Role: leger.RoleDeliver, Groups: []string{"web"}}
	}
	s := tailnetServer(t, map[string]leger.Peer{
		"alice":        personAt(123, "alice@github", "nLaptop"),
		"tagged":       {Node: "nTag", Name: "ci", Tags: []string{"tag:ci"}},
		"granted":      {Node: "nWeb", Name: "web", Tags: []string{"tag:web"}, Machine: grant("alice@github")},
		"granted-away": {Node: "nWeb", Name: "web", Tags: []string{"tag:web"}, Machine: grant("carol@github")},
	}, atItsName)
	ask := func(peer string, header ...string) answer {
		t.Helper()
		_, private, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		m := testMachine{key: private}
		return s.postAs(t, peer, "/api/enrolments", `{"name":"box","unix_user":"me","device_id":"nLie","public_key":"`+m.publicKey()+`"}`, header...)
	}
	res := ask("alice")
	done := data[wire.EnrolmentState](t, res)
	if done.State != wire.EnrolmentDone || done.User.Email != "alice@github" || done.Machine.Role != leger.RoleFull ||
		done.Machine.EnrolledBy != leger.SignInTailnet || done.Machine.DeviceID != "nLaptop" {
		t.Errorf("a person's: %s", res.body)
	}
	res = ask("granted")
	done = data[wire.EnrolmentState](t, res)
	if done.State != wire.EnrolmentDone || done.User.Email != "alice@github" || done.Machine.Role != leger.RoleDeliver || strings.Join(done.Machine.Groups, " ") != "web" {
		t.Errorf("a granted one: %s", res.body)
	}
	if res = ask("granted-away"); res.status != http.StatusForbidden || !strings.Contains(string(res.body), "carol@github") {
		t.Errorf("the owner has no account: %d %s", res.status, res.body)
	}
	for _, peer := range []string{"tagged", "nobody"} {
		if done = data[wire.EnrolmentState](t, ask(peer)); done.State != wire.EnrolmentWaits || done.Code == "" {
			t.Errorf("%s: %+v", peer, done)
		}
	}
	// A page whose name an attacker points here would otherwise enrol the attacker's key.
	if done = data[wire.EnrolmentState](t, ask("alice", "Host", "evil.example")); done.State != wire.EnrolmentWaits {
		t.Errorf("a name that rebinds: %+v", done)
	}
	if res = ask("broken"); res.status != http.StatusServiceUnavailable {
		t.Errorf("tailscaled is away: %d %s", res.status, res.body)
	}
}

// The tailnet's policy may say who signs in at all.
func TestTailnetNeedsAGrant(t *testing.T) {
	t.Parallel()
	granted := personAt(456, "bob@github", "nBob")
	granted.Access = true
	s := tailnetServer(t, map[string]leger.Peer{"alice": personAt(123, "alice@github", "nPhone"), "bob": granted},
		func(c *httpapi.Config) {
			atItsName(c)
			c.NeedsGrant = true
		})
	if res := s.postAs(t, "alice", "/api/auth/tailnet", ""); res.status != http.StatusForbidden || !strings.Contains(string(res.body), leger.GrantAccess) {
		t.Errorf("without: %d %s", res.status, res.body)
	}
	if res := s.postAs(t, "bob", "/api/auth/tailnet", ""); res.status != http.StatusOK {
		t.Errorf("with: %d %s", res.status, res.body)
	}
	if _, err := s.store.User(t.Context(), leger.UserIDOf(leger.TailscaleUserIDOf(123))); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("an account was made: %v", err)
	}
}
