package differ

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// Credential says how a request proves who sends it. The zero value proves nothing.
type Credential struct {
	User   string // e-mail; each is an account of its own
	Kind   Kind
	Device string // in the token
	Number int    // of the cookie, or of a token that is used more than once
}

// Kind is a way to be known, or to try.
type Kind string

// The kinds of credentials.
const (
	None        Kind = ""
	Token       Kind = "token"  // the same access token every time
	Fresh       Kind = "fresh"  // an access token by Number, for what revokes it
	Plain       Kind = "plain"  // to the letter of the specification, without jti, iss and aud
	Link        Kind = "link"   // a sign-in link's token by Number
	Cookie      Kind = "cookie" // a browser session by Number
	Expired     Kind = "expired"
	Future      Kind = "future"
	TooLong     Kind = "too long" // lives longer than it may
	WrongSecret Kind = "wrong secret"
	WrongParty  Kind = "wrong audience"
	NoAlgorithm Kind = "alg none"
	Garbage     Kind = "garbage"
	Scheme      Kind = "other scheme"
	Stranger    Kind = "stranger" // a good token of somebody without an account
)

func (c Credential) String() string {
	if c.Kind == None {
		return "nobody"
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s %d) %s", c.User, c.Kind, c.Number, c.Device))
}

// cookie is the Cookie header with an open reference.
func (c Credential) cookie() string {
	if c.Kind != Cookie {
		return ""
	}
	return ref(kindCookie+" "+c.User, c.Number)
}

// signer makes the Authorization header of a credential, for the server at url.
type signer struct {
	c    Config
	url  string
	kept map[Credential]string
}

func newSigner(c Config, url string) *signer { return &signer{c, url, map[Credential]string{}} }

func (s *signer) credential(c Credential) (string, error) {
	if c.Kind == None || c.Kind == Cookie {
		return "", nil
	}
	if text := s.kept[c]; text != "" {
		return text, nil
	}
	text, err := s.sign(c)
	s.kept[c] = text
	return text, err
}

func (s *signer) sign(c Credential) (string, error) {
	switch c.Kind { //nolint:exhaustive // the others are signed
	case Garbage:
		return []string{"Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "x", "Bearer " + strings.Repeat("x", 5000)}[c.Number%6], nil
	case Scheme:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:password")), nil
	}
	who := leger.LocalIdentity(c.User)
	who.DeviceID = c.Device
	claims, err := token.New(s.c.Now(), s.c.Random, who, token.IssuerCLI, s.url, c.Kind == Link, "test")
	if err != nil {
		return "", err
	}
	secret := s.c.Shared
	switch c.Kind { //nolint:exhaustive // the others are as New makes them
	case Plain:
		claims.ID, claims.Issuer, claims.Audience = "", "", ""
	case WrongParty:
		claims.Audience = "https://elsewhere.example"
	case Expired:
		claims.IssuedAt, claims.ExpiresAt = claims.IssuedAt.Add(-time.Hour), claims.IssuedAt.Add(-time.Minute)
	case Future:
		claims.IssuedAt, claims.ExpiresAt = claims.IssuedAt.Add(time.Hour), claims.ExpiresAt.Add(time.Hour)
	case TooLong:
		claims.ExpiresAt = claims.ExpiresAt.Add(time.Hour)
	case WrongSecret:
		if secret, err = otherSecret(s.c.Random); err != nil {
			return "", err
		}
	}
	text, err := token.Sign(secret, claims)
	if c.Kind == NoAlgorithm {
		_, rest, _ := strings.Cut(text, ".")
		body, _, _ := strings.Cut(rest, ".")
		text = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + body + "."
	}
	return "Bearer " + text, err
}

func otherSecret(random io.Reader) (token.Secret, error) {
	b := make([]byte, token.MinSecret)
	if _, err := io.ReadFull(random, b); err != nil {
		return token.Secret{}, err
	}
	return token.ParseSecret(b)
}
