// Package token makes and verifies the signed tokens (JWT) by which the CLI
// proves who is calling in an installation with a shared secret.
//
// Two kinds exist. An access token is the CLI's own credential: up to 30 days,
// for every route. A link token travels in the sign-in link: 2 minutes, one use,
// good for nothing but signing a browser in. Both name the server that they are for,
// so that one server cannot use at another what it was sent. A token made exactly as
// the specification says, without jti, iss and aud, is an access token for any server
// that has the secret.
//
// The algorithm is fixed by the key, never by the token (RFC 8725, 3.1). The
// package keeps no list of revoked tokens: its caller asks the session store.
package token

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"leger.run/leger"
)

// Lifetimes and tolerances.
const (
	AccessLifetime = 30 * 24 * time.Hour // the specification's, and the longest accepted
	LinkLifetime   = 2 * time.Minute
	Skew           = 60 * time.Second // how far a clock may be ahead
	MinSecret      = 32               // bytes; RFC 7518, 3.2: at least the hash's size
	maxToken       = 4096             // bytes of a token worth looking at
)

// Who issues tokens.
const (
	IssuerCLI    = "leger-cli"
	IssuerServer = "leger-server"
)

// Secret is the installation's shared secret. It prints as "[redacted]".
type Secret struct{ p leger.Plaintext }

// ParseSecret takes the secret's bytes as they are; shorter than 32 is
// CodeInvalid, field "shared_secret".
func ParseSecret(b []byte) (Secret, error) {
	if len(b) < MinSecret {
		return Secret{}, leger.Invalid("shared_secret", "the shared secret has %d bytes: it needs at least %d, or it could be guessed", len(b), MinSecret).
			WithHint("make one with: openssl rand -base64 48")
	}
	return Secret{leger.NewPlaintext(b)}, nil
}

func (s Secret) String() string { return s.p.String() }

// Format gives "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, verb rune) { s.p.Format(f, verb) }

// Claims is what a token says. Identity.UserID is its "sub".
type Claims struct {
	Identity   leger.Identity
	ID         string // jti; may be empty for a token made to the specification
	Issuer     string
	Audience   string // the origin of the server it is for; may be empty as ID may
	Link       bool   // good only for signing a browser in, once
	IssuedAt   time.Time
	ExpiresAt  time.Time
	CLIVersion string
}

// New fills in claims for an identity at the server with that origin: times, a random
// id, and the lifetime.
func New(now time.Time, random io.Reader, id leger.Identity, issuer, audience string, link bool, cliVersion string) (Claims, error) {
	jti, err := leger.NewID(random)
	if err != nil {
		return Claims{}, err
	}
	life := AccessLifetime
	if link {
		life = LinkLifetime
	}
	now = now.UTC().Truncate(time.Second)
	return Claims{
		Identity: id, ID: jti, Issuer: issuer, Audience: audience, Link: link,
		IssuedAt: now, ExpiresAt: now.Add(life), CLIVersion: cliVersion,
	}, nil
}

// payload is the JSON of a token: the specification's six claims and ours.
type payload struct {
	TailscaleUserID string `json:"tailscale_user_id"`
	Email           string `json:"email"`
	Tailnet         string `json:"tailnet"`
	DeviceID        string `json:"device_id,omitempty"`
	CLIVersion      string `json:"cli_version,omitempty"`
	Use             string `json:"use,omitempty"` // useLink, or nothing
	jwt.RegisteredClaims
}

// useLink marks the token of a link.
const useLink = "link"

// Sign makes the token's text with HS256.
func Sign(s Secret, c Claims) (string, error) {
	p := payload{
		TailscaleUserID: c.Identity.TailscaleUserID.String(),
		Email:           c.Identity.Email,
		Tailnet:         c.Identity.Tailnet,
		DeviceID:        c.Identity.DeviceID,
		CLIVersion:      c.CLIVersion,
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   c.Identity.UserID().String(),
			ID:        c.ID,
			Issuer:    c.Issuer,
			IssuedAt:  jwt.NewNumericDate(c.IssuedAt),
			ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
	}
	if c.Audience != "" {
		p.Audience = jwt.ClaimStrings{c.Audience}
	}
	if c.Link {
		p.Use = useLink
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, p).SignedString(s.p.Reveal())
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "sign the token")
	}
	return text, nil
}

// Verify checks signature, times, audience, issuer and subject, and gives the
// claims. audiences are the origins that the server goes by. Every failure is CodeInvalidToken with one and the same message, so
// that a stranger learns nothing; the cause says which, for the log.
func Verify(s Secret, audiences []string, now time.Time, text string) (Claims, error) {
	c, err := verify(s, audiences, now, text)
	if err != nil {
		return Claims{}, Refuse(err)
	}
	return c, nil
}

// Refuse is the answer to any credential that is no good, with its cause for the log.
func Refuse(cause error) error {
	return leger.Wrap(leger.CodeInvalidToken, cause, "your sign-in is invalid or has expired").
		WithHint("run: leger auth login")
}

func verify(s Secret, audiences []string, now time.Time, text string) (Claims, error) {
	if len(text) > maxToken {
		return Claims{}, errors.New("token is too long")
	}
	var p payload
	_, err := jwt.ParseWithClaims(text, &p,
		func(t *jwt.Token) (any, error) {
			if _, ok := t.Header["crit"]; ok { // RFC 7515, 4.1.11: none is understood here
				return nil, errors.New("token has a crit header")
			}
			return s.p.Reveal(), nil
		},
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
	)
	if err != nil {
		return Claims{}, err
	}
	c := Claims{ID: p.ID, Issuer: p.Issuer, CLIVersion: p.CLIVersion, ExpiresAt: p.ExpiresAt.Time}
	if p.IssuedAt == nil {
		return Claims{}, errors.New("token has no iat")
	}
	c.IssuedAt = p.IssuedAt.Time
	if c.IssuedAt.After(now.Add(Skew)) {
		return Claims{}, errors.New("token is from the future")
	}
	if err := c.checkOrigin(p, audiences); err != nil {
		return Claims{}, err
	}
	return c, c.checkIdentity(p)
}

// checkOrigin settles audience, use, issuer and lifetime, which depend on each other.
func (c *Claims) checkOrigin(p payload, audiences []string) error {
	switch {
	case len(p.Audience) == 1 && slices.Contains(audiences, p.Audience[0]):
		c.Audience = p.Audience[0]
	case len(p.Audience) != 0:
		return errors.New("token is for another server")
	case c.Issuer != "" || p.Use != "":
		return errors.New("token names no server")
	}
	switch p.Use {
	case "":
	case useLink:
		c.Link = true
	default:
		return errors.New("token is for another use")
	}
	if c.Issuer != "" && c.Issuer != IssuerCLI && c.Issuer != IssuerServer {
		return errors.New("token is from another issuer")
	}
	life := AccessLifetime
	if c.Link {
		life = LinkLifetime
		if c.ID == "" {
			return errors.New("link token has no id")
		}
	}
	if c.ID != "" && !leger.ValidID(c.ID) {
		return errors.New("token id is not a UUID")
	}
	if c.ExpiresAt.Sub(c.IssuedAt) > life {
		return errors.New("token lives too long")
	}
	_, err := leger.ParseClientVersion(c.CLIVersion)
	return err
}

func (c *Claims) checkIdentity(p payload) error {
	id, err := leger.ParseTailscaleUserID(p.TailscaleUserID)
	if err != nil {
		return err
	}
	c.Identity = leger.Identity{TailscaleUserID: id, Email: p.Email, Tailnet: p.Tailnet, DeviceID: p.DeviceID}
	if err := c.Identity.Validate(); err != nil {
		return err
	}
	if p.Subject != c.Identity.UserID().String() {
		return errors.New("sub is not the id of tailscale_user_id")
	}
	return nil
}
