package httpapi_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// target is a running server, native or not, and the secret shared with it.
type target struct {
	base   string
	secret token.Secret
	shared string
	// operator gives a ticket of the server's operator.
	operator func(t *testing.T) string
}

// people signs in whoever a test names. Everyone is new in every test, so that
// tests may share a server.
type people struct {
	target
	identities map[string]leger.Identity
	tokens     map[string]string // by label
	cookies    map[string]*http.Cookie
	machines   map[string]*testMachine // by label
}

func newPeople(on target) *people {
	return &people{
		target: on, identities: map[string]leger.Identity{},
		tokens: map[string]string{}, cookies: map[string]*http.Cookie{}, machines: map[string]*testMachine{},
	}
}

// identity makes somebody up, the same for the same name.
func (p *people) identity(t *testing.T, name string) leger.Identity {
	t.Helper()
	if id, ok := p.identities[name]; ok {
		return id
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	must(t, err)
	p.identities[name] = leger.Identity{
		TailscaleUserID: leger.TailscaleUserIDOf(n.Uint64() + 1),
		Email:           name + "@example.com", Tailnet: "example.ts.net", DeviceID: "n" + name,
	}
	return p.identities[name]
}

// authorize adds the credential a label asks for to a request:
//
//	nobody        none
//	operator      the ticket of the server's operator
//	alice         an access token; the account is made at first use
//	alice/KIND    a token of that kind (see tokenOf), the same for the same label;
//	alice/KIND#2  is another of that kind
//	alice+box     a token that alice's machine box signed; it is enrolled at first use
//	alice+box/KIND one of that kind (see machineToken)
//	alice@browser a browser session, got from a link token; alice+box@browser, got from
//	              a link that the machine signed
func (p *people) authorize(t *testing.T, label string, r *http.Request) {
	t.Helper()
	if label == "nobody" {
		return
	}
	if label == "operator" {
		r.Header.Set("Authorization", "Bearer "+p.operator(t))
		return
	}
	if name, _, ok := strings.Cut(label, "@"); ok {
		if p.cookies[label] == nil {
			p.cookies[label] = p.signIn(t, name)
		}
		r.AddCookie(p.cookies[label])
		if r.Header.Get("Sec-Fetch-Site") == "" { // as every browser of today sends
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		return
	}
	r.Header.Set("Authorization", "Bearer "+p.token(t, label))
}

// token gives the token of a label.
func (p *people) token(t *testing.T, label string) string {
	t.Helper()
	if text, ok := p.tokens[label]; ok {
		return text
	}
	name, kind, special := strings.Cut(label, "/")
	if strings.Contains(name, "+") {
		return p.machineToken(t, p.machine(t, name), kind)
	}
	text := p.tokenOf(t, name, kind)
	p.tokens[label] = text
	if !special {
		if res := p.send(t, http.MethodPost, "/api/auth/validate", `{"session":false}`, text); res.status != http.StatusOK {
			t.Fatalf("make the account of %s: %d %s", name, res.status, res.body)
		}
	}
	return text
}

// signIn does what the page behind a sign-in link does.
func (p *people) signIn(t *testing.T, name string) *http.Cookie {
	t.Helper()
	var link string
	if strings.Contains(name, "+") {
		link = p.machineToken(t, p.machine(t, name), "link")
	} else {
		link = p.tokenOf(t, name, "link")
	}
	res := p.send(t, http.MethodPost, "/api/auth/validate", "", link)
	cookies := (&http.Response{Header: res.header}).Cookies()
	if res.status != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("sign %s in: %d %s, %d cookies", name, res.status, res.body, len(cookies))
	}
	return cookies[0]
}

// tokenOf makes a token of somebody.
func (p *people) tokenOf(t *testing.T, name, kind string) string {
	t.Helper()
	now := time.Now()
	id := p.identity(t, name)
	kind, _, _ = strings.Cut(kind, "#")
	claims, err := token.New(now, rand.Reader, id, token.IssuerCLI, p.base, strings.Contains(kind, "link"), "test")
	must(t, err)
	own := jwt.MapClaims{
		"sub": id.UserID().String(), "tailscale_user_id": id.TailscaleUserID.String(), "email": id.Email,
		"tailnet": id.Tailnet, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	switch kind {
	case "", "link":
		return p.sign(t, claims)
	case "again": // issued after whatever this second ended
		claims.IssuedAt = claims.IssuedAt.Add(time.Second)
		return p.sign(t, claims)
	case "expired":
		claims.IssuedAt, claims.ExpiresAt = now.Add(-time.Hour), now.Add(-time.Second)
		return p.sign(t, claims)
	case "future":
		claims.IssuedAt = now.Add(10 * time.Minute)
		return p.sign(t, claims)
	case "long":
		claims.ExpiresAt = claims.IssuedAt.Add(token.AccessLifetime + time.Minute)
		return p.sign(t, claims)
	case "long-link":
		claims.ExpiresAt = claims.IssuedAt.Add(token.LinkLifetime + time.Minute)
		return p.sign(t, claims)
	case "issuer":
		claims.Issuer = "somebody-else"
		return p.sign(t, claims)
	case "audience":
		claims.Audience = "https://elsewhere.example"
		return p.sign(t, claims)
	case "no-audience": // of a version whose tokens were good at any server
		claims.Audience = ""
		return p.sign(t, claims)
	case "spec": // to the letter of the specification
		return signWith(t, jwt.SigningMethodHS256, []byte(p.shared), own, nil)
	default:
		return p.forged(t, kind, own)
	}
}

// forged makes tokens that no honest client makes.
func (p *people) forged(t *testing.T, kind string, claims jwt.MapClaims) string {
	t.Helper()
	shared := []byte(p.shared)
	with := func(name string, value any) jwt.MapClaims {
		c := maps.Clone(claims)
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return c
	}
	switch kind {
	case "none":
		return signWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims, nil)
	case "hs384":
		return signWith(t, jwt.SigningMethodHS384, shared, claims, nil)
	case "hs512":
		return signWith(t, jwt.SigningMethodHS512, shared, claims, nil)
	case "rs256":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		return signWith(t, jwt.SigningMethodRS256, key, claims, nil)
	case "eddsa":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		return signWith(t, jwt.SigningMethodEdDSA, key, claims, nil)
	case "rs256-header":
		return hmacUnder(t, "RS256", shared, claims)
	case "eddsa-header":
		return hmacUnder(t, "EdDSA", shared, claims)
	case "crit":
		return signWith(t, jwt.SigningMethodHS256, shared, claims, map[string]any{"crit": []string{"exp"}})
	case "wrong-secret":
		return signWith(t, jwt.SigningMethodHS256, []byte("another secret of more than 32 bytes"), claims, nil)
	case "other-sub": // bob's id, alice's tailscale_user_id
		return signWith(t, jwt.SigningMethodHS256, shared, with("sub", p.identity(t, "bob").UserID().String()), nil)
	case "other-tailscale": // alice's id, bob's tailscale_user_id
		return signWith(t, jwt.SigningMethodHS256, shared, with("tailscale_user_id", p.identity(t, "bob").TailscaleUserID.String()), nil)
	case "no-exp":
		return signWith(t, jwt.SigningMethodHS256, shared, with("exp", nil), nil)
	case "no-iat":
		return signWith(t, jwt.SigningMethodHS256, shared, with("iat", nil), nil)
	case "no-email":
		return signWith(t, jwt.SigningMethodHS256, shared, with("email", nil), nil)
	case "bad-jti":
		return signWith(t, jwt.SigningMethodHS256, shared, with("jti", "../x"), nil)
	case "garbage":
		return "this.is.garbage"
	case "huge":
		return strings.Repeat("x", 9000)
	}
	t.Fatalf("no token of kind %q", kind)
	return ""
}

func (p *people) sign(t *testing.T, c token.Claims) string {
	t.Helper()
	text, err := token.Sign(p.secret, c)
	must(t, err)
	return text
}

func signWith(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims, header map[string]any) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, claims)
	maps.Copy(tok.Header, header)
	text, err := tok.SignedString(key)
	must(t, err)
	return text
}

// hmacUnder signs with HMAC-SHA-256 and says that it was something else.
func hmacUnder(t *testing.T, alg string, key []byte, claims jwt.MapClaims) string {
	t.Helper()
	body, err := json.Marshal(claims)
	must(t, err)
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"typ":"JWT"}`, alg)) + "." + enc.EncodeToString(body)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + enc.EncodeToString(mac.Sum(nil))
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request with a bearer token ("" for none), outside any script.
func (p *people) send(t *testing.T, method, path, body, bearer string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.base+path, strings.NewReader(body))
	must(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := roundTrip(r)
	must(t, err)
	return res
}

// as makes a request as whoever the label names.
func (p *people) as(t *testing.T, label, method, path, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.base+path, strings.NewReader(body))
	must(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	p.authorize(t, label, r)
	res, err := roundTrip(r)
	must(t, err)
	return res
}

// transport is the tests' own: httptest closes the connections of the default one, and that
// breaks requests of other tests.
var transport = sync.OnceValue(func() http.RoundTripper {
	t, _ := http.DefaultTransport.(*http.Transport)
	return t.Clone()
})

// roundTrip follows no redirect.
func roundTrip(r *http.Request) (answer, error) {
	if r.Header.Get("Accept-Encoding") == "" { // or Go asks for gzip, and leaves its header in a 304
		r.Header.Set("Accept-Encoding", "identity")
	}
	res, err := transport().RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(res.Body)
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	return answer{res.StatusCode, res.Header, body}, err
}

// data reads what is in an envelope; it fails unless the answer is a success.
func data[T any](t *testing.T, res answer) T {
	t.Helper()
	var env struct {
		Success bool
		Data    *T
	}
	dec := json.NewDecoder(bytes.NewReader(res.body))
	if err := dec.Decode(&env); err != nil || !env.Success || env.Data == nil || res.status != http.StatusOK {
		t.Fatalf("not a success: %d %s", res.status, res.body)
	}
	return *env.Data
}

// failure reads the error in an envelope.
func failure(t *testing.T, res answer) (code leger.Code, requestID string) {
	t.Helper()
	var env struct {
		Success bool
		Error   *struct {
			Code      leger.Code
			Message   string
			RequestID string `json:"request_id"`
		}
	}
	if err := json.Unmarshal(res.body, &env); err != nil || env.Success || env.Error == nil || env.Error.Message == "" {
		t.Fatalf("not an error of the contract: %d %s", res.status, res.body)
	}
	return env.Error.Code, env.Error.RequestID
}
