package httpapi_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// testMachine is a machine of somebody, with its key.
type testMachine struct {
	owner string
	name  string
	key   ed25519.PrivateKey
	id    string
}

// machine gives the machine of a label such as "alice+box"; it is enrolled at first
// use, with a token of its owner.
func (p *people) machine(t *testing.T, label string) *testMachine {
	t.Helper()
	if m := p.machines[label]; m != nil {
		return m
	}
	owner, name, _ := strings.Cut(label, "+")
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	m := &testMachine{owner: owner, name: name, key: key}
	res := p.send(t, http.MethodPost, "/api/machines", m.enrolment(), p.token(t, owner))
	m.id = data[wire.MachineEnrolled](t, res).ID
	p.machines[label] = m
	return m
}

func (m *testMachine) publicKey() string {
	public, _ := m.key.Public().(ed25519.PublicKey)
	return base64.RawURLEncoding.EncodeToString(public)
}

func (m *testMachine) enrolment() string {
	return fmt.Sprintf(`{"name":%q,"unix_user":"me","device_id":"n%s","public_key":%q}`, m.name, m.owner, m.publicKey())
}

// machineToken makes a token of a machine: a good one, or of a kind that no honest
// machine makes.
func (p *people) machineToken(t *testing.T, m *testMachine, kind string) string {
	t.Helper()
	kind, _, _ = strings.Cut(kind, "#")
	now := time.Now()
	user := p.identity(t, m.owner).UserID()
	c, err := token.NewMachine(now, rand.Reader, m.id, user, p.base, strings.HasPrefix(kind, "link"), "test")
	must(t, err)
	sign := func() string {
		text, err := token.SignMachine(m.key, c)
		must(t, err)
		return text
	}
	switch kind {
	case "", "link":
		return sign()
	case "expired":
		c.IssuedAt, c.ExpiresAt = now.Add(-10*time.Minute), now.Add(-5*time.Minute-time.Second)
		return sign()
	case "future":
		c.IssuedAt, c.ExpiresAt = now.Add(30*time.Minute), now.Add(34*time.Minute)
		return sign()
	case "long":
		c.ExpiresAt = c.IssuedAt.Add(token.MachineLifetime + time.Second)
		return sign()
	case "link-long":
		c.ExpiresAt = c.IssuedAt.Add(token.LinkLifetime + time.Second)
		return sign()
	case "another-server":
		c.Audience = "https://evil.example"
		return sign()
	case "no-server":
		c.Audience = ""
		return sign()
	case "another-user":
		c.User = p.identity(t, "bob").UserID()
		return sign()
	case "no-jti":
		c.ID = ""
		return sign()
	case "bad-jti":
		c.ID = "../x"
		return sign()
	case "long-version":
		c.CLIVersion = strings.Repeat("1", 65)
		return sign()
	}
	return m.forged(t, kind, jwt.MapClaims{
		"sub": user.String(), "aud": []string{p.base}, "iss": m.id, "jti": c.ID,
		"iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(),
	})
}

func (m *testMachine) forged(t *testing.T, kind string, claims jwt.MapClaims) string {
	t.Helper()
	kid := map[string]any{"kid": m.id}
	with := func(name string, value any) jwt.MapClaims {
		c := maps.Clone(claims)
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	switch kind {
	case "good": // that what follows is refused for what it says
		return signWith(t, jwt.SigningMethodEdDSA, m.key, claims, kid)
	case "none":
		return signWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims, kid)
	case "public-key-as-secret":
		return signWith(t, jwt.SigningMethodHS256, []byte(m.key.Public().(ed25519.PublicKey)), claims, kid)
	case "es256":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		return signWith(t, jwt.SigningMethodES256, key, claims, kid)
	case "another-key":
		return signWith(t, jwt.SigningMethodEdDSA, other, claims, kid)
	case "own-key-in-header": // RFC 7515, 4.1.3: a key that comes along proves nothing
		public, _ := other.Public().(ed25519.PublicKey)
		jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public)}
		return signWith(t, jwt.SigningMethodEdDSA, other, claims, map[string]any{"kid": m.id, "jwk": jwk})
	case "no-kid":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, claims, nil)
	case "unknown-kid":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, claims, map[string]any{"kid": "00000000-0000-4000-8000-000000000000"})
	case "kid-of-a-kind":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, claims, map[string]any{"kid": "' OR 1=1 --"})
	case "kid-in-a-list":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, claims, map[string]any{"kid": []string{m.id}})
	case "crit":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, claims, map[string]any{"kid": m.id, "crit": []string{"exp"}})
	case "no-exp":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, with("exp", nil), kid)
	case "no-iat":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, with("iat", nil), kid)
	case "no-sub":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, with("sub", nil), kid)
	case "no-iss":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, with("iss", nil), kid)
	case "two-servers":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, with("aud", []string{claims["aud"].([]string)[0], "https://evil.example"}), kid)
	case "another-use":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, with("use", "admin"), kid)
	case "cut-signature":
		text := signWith(t, jwt.SigningMethodEdDSA, m.key, claims, kid)
		return text[:len(text)-2]
	case "no-signature":
		text := signWith(t, jwt.SigningMethodEdDSA, m.key, claims, kid)
		return text[:strings.LastIndex(text, ".")+1]
	case "huge":
		return signWith(t, jwt.SigningMethodEdDSA, m.key, with("x", strings.Repeat("x", 4096)), kid)
	}
	t.Fatalf("no machine's token of kind %q", kind)
	return ""
}

// badMachineTokens are the kinds that are refused, all of them in the same words.
func badMachineTokens() []string {
	return []string{
		"expired", "future", "long", "another-server", "no-server", "another-user", "no-jti", "bad-jti", "long-version",
		"none", "public-key-as-secret", "es256", "another-key", "own-key-in-header", "no-kid", "unknown-kid", "kid-of-a-kind",
		"kid-in-a-list", "crit", "no-exp", "no-iat", "no-sub", "no-iss", "two-servers", "another-use", "cut-signature",
		"no-signature", "huge", "link", "link-long",
	}
}

// A token that is no good says nothing about why: not whether there is a machine of
// its name, whose it is, or what is wrong. Nothing happens, and the log has the cause.
func TestMachineTokensThatAreNoGood(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	m := p.machine(t, "alice+box")
	if res := p.send(t, http.MethodGet, "/api/user", "", p.machineToken(t, m, "good")); res.status != http.StatusOK {
		t.Fatalf("a good one: %d %s", res.status, res.body)
	}
	seen := map[string][]string{}
	for _, kind := range badMachineTokens() {
		res := p.send(t, http.MethodGet, "/api/user", "", p.machineToken(t, m, kind))
		_, id := failure(t, res)
		shape := fmt.Sprint(res.status, " ", res.header.Get("WWW-Authenticate"), " ", strings.ReplaceAll(string(res.body), id, "ID"))
		seen[shape] = append(seen[shape], kind)
		if res.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", kind, res.status, res.body)
		}
		if res := p.send(t, http.MethodPost, "/api/auth/validate", "", p.machineToken(t, m, kind)); kind != "link" && res.status != http.StatusUnauthorized {
			t.Errorf("%s signs a browser in: %d %s", kind, res.status, res.body)
		}
	}
	if len(seen) != 1 {
		t.Errorf("the refusals differ: %v", seen)
	}
}

// Of many browsers that use one link at once, one is signed in.
func TestAMachinesLinkWorksOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	link := p.machineToken(t, p.machine(t, "alice+box"), "link")
	statuses := make(chan int, 50)
	for range cap(statuses) {
		go func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.base+"/api/auth/validate", http.NoBody)
			if err != nil {
				statuses <- 0
				return
			}
			r.Header.Set("Authorization", "Bearer "+link)
			res, err := roundTrip(r)
			if err != nil {
				statuses <- 0
				return
			}
			statuses <- res.status
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	if count[http.StatusOK] != 1 || count[http.StatusUnauthorized] != cap(statuses)-1 {
		t.Errorf("answers: %v", count)
	}
	sessions, err := s.store.Sessions(t.Context(), p.identity(t, "alice").UserID(), time.Now())
	must(t, err)
	if len(sessions) != 1 {
		t.Errorf("%d sessions", len(sessions))
	}
}
