package token

import (
	"crypto/ed25519"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"leger.run/leger"
)

// MachineLifetime is the longest that a token lives which a machine signs itself:
// long enough for clocks that differ, too short to be worth stealing.
const MachineLifetime = 5 * time.Minute

// MachineClaims is what a token says that a machine signed with its own key: the
// shape of RFC 7523, 3.
type MachineClaims struct {
	Machine    string       // kid: the machine's id
	User       leger.UserID // sub
	Audience   string       // aud: the origin of the server it is for
	Link       bool         // good only for signing a browser in, once
	ID         string       // jti
	IssuedAt   time.Time
	ExpiresAt  time.Time
	CLIVersion string
}

// NewMachine fills in times, a random id, and the lifetime.
func NewMachine(now time.Time, random io.Reader, machine string, user leger.UserID, audience string, link bool, cliVersion string) (MachineClaims, error) {
	jti, err := leger.NewID(random)
	if err != nil {
		return MachineClaims{}, err
	}
	life := MachineLifetime
	if link {
		life = LinkLifetime
	}
	now = now.UTC().Truncate(time.Second)
	return MachineClaims{
		Machine: machine, User: user, Audience: audience, Link: link, ID: jti,
		IssuedAt: now, ExpiresAt: now.Add(life), CLIVersion: cliVersion,
	}, nil
}

// machinePayload is the JSON of a machine's token.
type machinePayload struct {
	Use        string `json:"use,omitempty"` // useLink, or nothing
	CLIVersion string `json:"cli_version,omitempty"`
	jwt.RegisteredClaims
}

// SignMachine makes the token's text with EdDSA (RFC 8037).
func SignMachine(key ed25519.PrivateKey, c MachineClaims) (string, error) {
	p := machinePayload{
		CLIVersion: c.CLIVersion,
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: c.User.String(), Audience: jwt.ClaimStrings{c.Audience}, ID: c.ID, Issuer: c.Machine,
			IssuedAt: jwt.NewNumericDate(c.IssuedAt), ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
	}
	if c.Link {
		p.Use = useLink
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, p)
	t.Header["kid"] = c.Machine
	text, err := t.SignedString(key)
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "sign the token")
	}
	return text, nil
}

// MachineOf gives the id of the machine that says it signed a token: what to look
// its key up by. It is "" for a token of another kind. Nothing is verified.
func MachineOf(text string) string {
	if len(text) > maxToken {
		return ""
	}
	t, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
	if t == nil || err != nil {
		return ""
	}
	id, _ := t.Header["kid"].(string)
	if !leger.ValidID(id) {
		return ""
	}
	return id
}

// VerifyMachine checks signature, times, audience and subject of a token that the
// machine m signed. Every failure is as those of Verify. A token whose clock is ahead
// by more than Skew says so in its cause.
func VerifyMachine(m leger.Machine, audiences []string, now time.Time, text string) (MachineClaims, error) {
	c, err := verifyMachine(m, audiences, now, text)
	if err != nil {
		return MachineClaims{}, Refuse(err)
	}
	return c, nil
}

func verifyMachine(m leger.Machine, audiences []string, now time.Time, text string) (MachineClaims, error) {
	if len(text) > maxToken {
		return MachineClaims{}, errors.New("token is too long")
	}
	var p machinePayload
	_, err := jwt.ParseWithClaims(text, &p,
		func(t *jwt.Token) (any, error) {
			if _, ok := t.Header["crit"]; ok { // RFC 7515, 4.1.11: none is understood here
				return nil, errors.New("token has a crit header")
			}
			if t.Header["kid"] != m.ID {
				return nil, errors.New("token names another machine")
			}
			return m.Key.Public(), nil
		},
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
	)
	if err != nil {
		return MachineClaims{}, err
	}
	c := MachineClaims{Machine: m.ID, User: m.User, Link: p.Use == useLink, ID: p.ID, CLIVersion: p.CLIVersion, ExpiresAt: p.ExpiresAt.Time}
	life := MachineLifetime
	if c.Link {
		life = LinkLifetime
	}
	switch {
	case p.IssuedAt == nil:
		return c, errors.New("token has no iat")
	case p.IssuedAt.After(now.Add(Skew)):
		return c, errors.New("token is from the future")
	case p.ExpiresAt.Sub(p.IssuedAt.Time) > life:
		return c, errors.New("token lives too long")
	case p.Use != "" && p.Use != useLink:
		return c, errors.New("token is for another use")
	case len(p.Audience) != 1 || !slices.Contains(audiences, p.Audience[0]):
		return c, errors.New("token is for another server")
	case p.Subject != m.User.String() || p.Issuer != m.ID:
		return c, errors.New("token speaks for somebody else")
	case !leger.ValidID(p.ID):
		return c, errors.New("token id is not a UUID")
	}
	if _, err := leger.ParseClientVersion(p.CLIVersion); err != nil {
		return c, err
	}
	c.IssuedAt, c.Audience = p.IssuedAt.Time, p.Audience[0]
	return c, nil
}
