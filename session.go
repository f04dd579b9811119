package leger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"time"
)

// How long a browser stays signed in (design: "Browser session").
const (
	SessionIdle     = 12 * time.Hour
	SessionAbsolute = 30 * 24 * time.Hour
)

// SignInMethod is a way to sign in that a server may accept. The server decides
// which: a client goes by what GET /api/auth/methods says, and may meet names that
// it does not know.
type SignInMethod string

// The ways to sign in.
const (
	// SignInMachine: a machine signs with a key of its own, which the server knows.
	SignInMachine SignInMethod = "machine"
	// SignInSharedSecret is the specification's way: whoever holds the installation's
	// secret signs a token with the identity that tailscaled gives.
	SignInSharedSecret SignInMethod = "shared-secret"
	// SignInTailnet: the server asks its own tailscaled who is calling.
	SignInTailnet SignInMethod = "tailnet"
	// SignInCode and SignInInvitation enrol a machine, which is how SignInMachine
	// begins. A server that accepts that accepts them, and does not name them apart.
	SignInCode       SignInMethod = "code"
	SignInInvitation SignInMethod = "invitation"
)

// SessionHash is the SHA-256 of a browser's session id, in hex: what is stored,
// so that a stolen database opens no session.
type SessionHash string

// HashSession hashes the id a browser sent.
func HashSession(id string) SessionHash {
	sum := sha256.Sum256([]byte(id))
	return SessionHash(hex.EncodeToString(sum[:]))
}

// NewSessionID reads 256 random bits: the cookie's value.
func NewSessionID(random io.Reader) (string, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", Wrap(CodeInternal, err, "read random bytes")
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Session is one signed-in browser.
type Session struct {
	Hash       SessionHash
	ID         string // UUIDv4 by which its owner names it; opens nothing
	User       UserID
	CreatedAt  time.Time
	LastSeen   time.Time
	ExpiresAt  time.Time // absolute end
	UserAgent  string    // cut to 200 bytes
	RemoteAddr string    // address without port
}

// Live reports whether the session may be used at now.
func (s Session) Live(now time.Time) bool {
	return now.Before(s.ExpiresAt) && now.Before(s.LastSeen.Add(SessionIdle))
}

// SessionStore keeps browser sessions and the ids of tokens that may not be
// used (again). Storage trouble is ErrUnavailable.
type SessionStore interface {
	// Session gives a session by its hash, ErrNotFound if there is none. It may
	// have expired: ask Live.
	Session(ctx context.Context, hash SessionHash) (Session, error)
	// Sessions lists a user's sessions that are live at now, last seen first.
	Sessions(ctx context.Context, user UserID, now time.Time) ([]Session, error)
	// TouchSession moves LastSeen forward; losing it at power loss is harmless.
	TouchSession(ctx context.Context, hash SessionHash, at time.Time) error
	// DeleteSession ends a session by its public id. ErrNotFound.
	DeleteSession(ctx context.Context, user UserID, id string, audit AuditEvent) error
	// SpendToken marks a token id as used up until the token expires by itself.
	// ErrConflict if it was already: of many callers at once exactly one succeeds.
	SpendToken(ctx context.Context, jti string, expires time.Time) error
	// TokenSpent reports whether a token id was used up or revoked.
	TokenSpent(ctx context.Context, jti string) (bool, error)
	// TokenUser gives the account that a token speaks for and whether the token's id,
	// if not "", was used up or revoked; ErrNotFound if there is no such account.
	TokenUser(ctx context.Context, user UserID, jti string) (u User, spent bool, err error)
	// Prune forgets sessions, spent tokens and audit events that were past their time
	// at upTo. That is now, or earlier when the clock went ahead by more than a day
	// since the last pruning: a clock that is wrong must not make it forget what still
	// matters. Callers prune every hour, and not as the first thing after a start.
	Prune(ctx context.Context, now time.Time) (upTo time.Time, err error)
}
