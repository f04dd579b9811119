package leger

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// UserID is a user's Leger ID: UUIDv5 of the Tailscale user id in Leger's own
// namespace, so that every part derives the same id without asking another.
type UserID struct{ s string }

// UserIDOf derives the id of a Tailscale user.
func UserIDOf(id TailscaleUserID) UserID {
	return UserID{uuidV5(uuidV5(namespaceDNS(), "leger.run"), id.s).String()}
}

// ParseUserID takes a UUID in its canonical lower-case form; ErrInvalid else.
func ParseUserID(s string) (UserID, error) {
	if !ValidID(s) {
		return UserID{}, Invalid("user_uuid", "%s is not a user id", quoteInput(s))
	}
	return UserID{s}, nil
}

func (u UserID) String() string { return u.s }

// IsZero reports whether u is no user.
func (u UserID) IsZero() bool { return u.s == "" }

// MarshalText gives the UUID.
func (u UserID) MarshalText() ([]byte, error) { return []byte(u.s), nil }

// UnmarshalText parses as ParseUserID does.
func (u *UserID) UnmarshalText(b []byte) (err error) {
	*u, err = ParseUserID(string(b))
	return err
}

// TailscaleUserID is Tailscale's number of a user in the form "u123456789".
type TailscaleUserID struct{ s string }

// ParseTailscaleUserID fails with ErrInvalid, field "tailscale_user_id".
func ParseTailscaleUserID(s string) (TailscaleUserID, error) {
	if len(s) > maxTailscaleIDBytes || !isTailscaleUserID(s) {
		return TailscaleUserID{}, Invalid("tailscale_user_id",
			"%s is not a Tailscale user id: it is the letter u and a number, as in u123456789", quoteInput(s))
	}
	return TailscaleUserID{s}, nil
}

// TailscaleUserIDOf makes the id from the number tailscaled reports.
func TailscaleUserIDOf(n uint64) TailscaleUserID {
	return TailscaleUserID{"u" + strconv.FormatUint(n, 10)}
}

func (t TailscaleUserID) String() string { return t.s }

// Identity is who a person is and on which machine, as Tailscale tells it.
type Identity struct {
	TailscaleUserID TailscaleUserID
	Email           string // login name, e.g. alice@github
	Tailnet         string // MagicDNS suffix, e.g. example.ts.net
	DeviceID        string // Tailscale's stable node id; may be empty
}

// UserID derives the Leger ID.
func (i Identity) UserID() UserID { return UserIDOf(i.TailscaleUserID) }

// Validate checks the texts of an identity that came from outside: present,
// within their limits, printable. ErrInvalid, with the field's name.
func (i Identity) Validate() error {
	if i.TailscaleUserID.s == "" {
		return Invalid("tailscale_user_id", "the identity has no Tailscale user id")
	}
	for _, f := range []struct {
		field, text string
		most        int
		needed      bool
	}{
		{"email", i.Email, MaxEmail, true},
		{"tailnet", i.Tailnet, MaxTailnet, true},
		{"device_id", i.DeviceID, MaxDeviceID, false},
	} {
		switch {
		case f.text == "" && f.needed:
			return Invalid(f.field, "the identity has no %s", f.field)
		case len(f.text) > f.most:
			return Invalid(f.field, "%s is longer than %d bytes", f.field, f.most)
		case !printable(f.text):
			return Invalid(f.field, "%s has characters that cannot be printed", f.field)
		}
	}
	return nil
}

// LocalIdentity is the identity used without Tailscale against a server on the
// same machine (make run, recovery): derived from the e-mail alone so that the
// CLI and leger-server login-link agree. Its number lies at or above 2^62,
// outside the range Tailscale gives out.
func LocalIdentity(email string) Identity {
	const local = uint64(1) << 62
	sum := uuidV5(namespaceDNS(), "local.leger.run/"+strings.ToLower(email))
	var n uint64
	for _, b := range sum[:7] {
		n = n<<8 | uint64(b)
	}
	return Identity{TailscaleUserID: TailscaleUserIDOf(local + n), Email: email, Tailnet: "local"}
}

// User is an account.
type User struct {
	ID                   UserID
	TailscaleUserID      TailscaleUserID
	Email                string
	Tailnet              string
	DisplayName          string // empty: none
	CreatedAt            time.Time
	LastSeen             time.Time
	LastDeviceID         string
	CLIVersion           string
	TotalAuthentications int64
	TokensValidAfter     time.Time // "sign out everywhere": tokens issued before are refused; zero: never used
}

// ParseDisplayName trims s and checks that 1 to 32 printable characters remain.
// ErrInvalid, field "display_name".
func ParseDisplayName(s string) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n < 1 || n > MaxDisplayName || !printable(s) {
		return "", Invalid("display_name", "a display name has 1 to %d printable characters", MaxDisplayName)
	}
	return s, nil
}

// SignIn is one successful authentication, as the user store records it.
type SignIn struct {
	Identity   Identity
	CLIVersion string
	At         time.Time
	Audit      AuditEvent
}

// UserStore keeps accounts. Storage trouble is ErrUnavailable.
type UserStore interface {
	// SignIn makes the account of an identity or refreshes it (e-mail, tailnet,
	// device, last seen, count) and gives it back; created tells which. The
	// session, if not nil, and the audit event are written with it, all or nothing.
	SignIn(ctx context.Context, in SignIn, session *Session) (u User, created bool, err error)
	// User gives an account, ErrNotFound if there is none.
	User(ctx context.Context, id UserID) (User, error)
	// UserByEmail gives the account with that e-mail. ErrNotFound if there is none, or
	// more than one: people of two tailnets may have the same.
	UserByEmail(ctx context.Context, email string) (User, error)
	// TokensValidAfter gives when the account last signed out everywhere or was deleted,
	// the zero time if never: also while there is no account, for as long as a token may
	// live.
	TokensValidAfter(ctx context.Context, id UserID) (time.Time, error)
	// CountUsers gives the number of accounts.
	CountUsers(ctx context.Context) (int, error)
	// SetDisplayName changes the name and gives the account back. ErrNotFound.
	SetDisplayName(ctx context.Context, id UserID, name string, audit AuditEvent) (User, error)
	// NoteToken remembers a token whose time of issue lies ahead of the server's clock,
	// so that SignOutEverywhere and DeleteUser end it, too.
	NoteToken(ctx context.Context, id UserID, issued time.Time) error
	// SignOutEverywhere ends every session but keep (a hash; empty keeps none) and
	// refuses every token issued before at or noted until now. It gives the number of
	// sessions ended.
	SignOutEverywhere(ctx context.Context, id UserID, keep SessionHash, at time.Time, audit AuditEvent) (int, error)
	// DeleteUser removes the account and all it owns, and refuses every token from
	// before: it makes no account anew. Its audit events stay, for
	// AuditRetentionDays, under its id. ErrNotFound.
	DeleteUser(ctx context.Context, id UserID, audit AuditEvent) error
}
