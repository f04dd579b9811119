package signin

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"sync"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// PrivateKey is a machine's Ed25519 key as auth.json holds it: the seed (RFC 8032,
// 5.1.5), base64url without padding. It prints as "[redacted]".
type PrivateKey struct{ p leger.Plaintext }

// NewPrivateKey makes a key.
func NewPrivateKey(random io.Reader) (PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return PrivateKey{}, leger.Wrap(leger.CodeInternal, err, "read random bytes")
	}
	return PrivateKey{leger.NewPlaintext(seed)}, nil
}

// IsZero reports whether there is no key.
func (k PrivateKey) IsZero() bool { return k.p.Len() == 0 }

// Public is the key's public half.
func (k PrivateKey) Public() leger.MachineKey { return leger.MachineKeyOf(k.private()) }

func (k PrivateKey) private() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.p.Reveal()) }

// MarshalText gives the seed for auth.json, and for nothing else.
func (k PrivateKey) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, k.p.Reveal()), nil
}

// UnmarshalText reads what MarshalText gives.
func (k *PrivateKey) UnmarshalText(b []byte) error {
	seed, err := base64.RawURLEncoding.Strict().DecodeString(string(b))
	if err != nil || (len(seed) != ed25519.SeedSize && len(seed) != 0) {
		return errors.New("not the key of a machine")
	}
	k.p = leger.NewPlaintext(seed)
	return nil
}

// About is what a machine tells of itself when it is enrolled.
type About struct {
	Name     string // its host name
	UnixUser string
	DeviceID string // by which it reported without a key; empty: not known
}

// Enrol makes this machine known to the server of a sign-in, by a key of its own, and
// gives the sign-in that uses it. The former sign-in's key is used again when it is
// the same user's at the same server, who then has one machine and not two.
// CodeNotFound from a server that is older than machines' keys.
func (s Signer) Enrol(ctx context.Context, in, former SignIn, about About) (SignIn, error) {
	key := former.Key
	if key.IsZero() || former.Server != in.Server || former.UserUUID != in.UserUUID {
		var err error
		if key, err = NewPrivateKey(s.Random); err != nil {
			return in, err
		}
	}
	c, err := s.Client(in.Server, in.Token)
	if err != nil {
		return in, err
	}
	m, err := c.EnrolMachine(ctx, wire.MachineEnrolment{
		Name: about.Name, UnixUser: about.UnixUser, DeviceID: about.DeviceID, PublicKey: key.Public().String(),
	})
	if err != nil {
		return in, err
	}
	in.Method, in.EnrolledBy, in.MachineID, in.Key = leger.SignInMachine, leger.SignInSharedSecret, m.ID, key
	in.Token, in.ExpiresAt = "", time.Time{}
	return in, nil
}

// renewBefore is how long before its end a token is no longer sent: a request takes
// time, and clocks differ.
const renewBefore = time.Minute

// Tokens signs a machine's tokens, each used until it nearly ends. Safe for
// concurrent use.
type Tokens struct {
	In      SignIn
	Now     func() time.Time
	Random  io.Reader // cryptographically secure
	Version string    // of this program

	mu     sync.Mutex
	text   string
	claims token.MachineClaims
}

// Token gives a token that is good now.
func (t *Tokens) Token() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Now()
	if t.text != "" && !now.Before(t.claims.IssuedAt) && now.Before(t.claims.ExpiresAt.Add(-renewBefore)) {
		return t.text, nil
	}
	text, claims, err := t.sign(false)
	if err != nil {
		return "", err
	}
	t.text, t.claims = text, claims
	return text, nil
}

// Link makes the token of a link that signs a browser in, once.
func (t *Tokens) Link() (text string, expires time.Time, err error) {
	text, claims, err := t.sign(true)
	return text, claims.ExpiresAt, err
}

func (t *Tokens) sign(link bool) (string, token.MachineClaims, error) {
	origin, err := token.Origin(t.In.Server)
	if err != nil {
		return "", token.MachineClaims{}, err
	}
	claims, err := token.NewMachine(t.Now(), t.Random, t.In.MachineID, t.In.UserUUID, origin, link, t.Version)
	if err != nil {
		return "", claims, err
	}
	text, err := token.SignMachine(t.In.Key.private(), claims)
	return text, claims, err
}

// End makes a sign-in unusable at its server: it revokes the machine, or the token.
// One that the server does not take any more is.
func (in SignIn) End(ctx context.Context, c *client.Client) error {
	err := func() error {
		if in.MachineID != "" {
			return c.RevokeMachine(ctx, in.MachineID)
		}
		return c.RevokeToken(ctx)
	}()
	if errors.Is(err, leger.ErrInvalidToken) {
		return nil
	}
	return err
}
