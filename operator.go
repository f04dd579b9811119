package leger

import (
	"context"
	"io"
	"time"
)

const (
	// OperatorLifetime is how long the ticket of a server's operator works.
	OperatorLifetime = time.Hour
	// OperatorSkew is how far the clock of who writes a ticket into the database may be
	// ahead of the server's.
	OperatorSkew = time.Minute
)

// OperatorPrefix begins the ticket of a server's operator: see Ticket.
const OperatorPrefix = "leger-operator-"

// OperatorStore is what the operator of a server works on. The operator is whoever can
// write to its database: a ticket whose hash stands in there proves it, and there is no
// other credential of an operator. Storage trouble is ErrUnavailable.
type OperatorStore interface {
	// OperatorTicket checks that a ticket is open at now. ErrNotFound: there is none, it
	// is over, or it was made for longer than OperatorLifetime.
	OperatorTicket(ctx context.Context, ticket TicketHash, now time.Time) error
	// InviteOwner keeps an invitation of the identity's account, which it makes if there
	// is none, and gives the account. ErrConflict: the account has MaxInvitations.
	InviteOwner(ctx context.Context, owner Identity, in Invitation, audit AuditEvent) (User, error)
	RekeyStore
}

// RekeyStore gives the sealed records of all users, takes them sealed anew, and remembers
// that owners are to be told.
type RekeyStore interface {
	// SealedVersions gives up to limit kept versions of all users that come after the
	// place after, in an order of its own that does not change. The zero place is before
	// the first.
	SealedVersions(ctx context.Context, after RecordPlace, limit int) ([]SealedSecret, error)
	// Reseal replaces how the records are sealed, all or none, but for those that are
	// gone, hold another value now, or are sealed with another key than they were. A
	// returned nil survives power loss.
	Reseal(ctx context.Context, records []ResealedSecret) error
	// CountVersions counts the kept versions of all users.
	CountVersions(ctx context.Context) (int, error)
	// KeyIDs gives the ids of the keys that seal something.
	KeyIDs(ctx context.Context) ([]string, error)
	// OpenAuditKey seals the audit log's key with the current key, if another one does.
	OpenAuditKey(ctx context.Context, keys AuditKeys, random io.Reader) error
	// BeginRekey notes that records are being sealed with this key, unless that is noted.
	BeginRekey(ctx context.Context, keyID string) error
	// TellRekey records e, its Action, Credential and Detail, for the next accounts if
	// BeginRekey noted the key, and tells whether there are more. Each account gets one
	// event, and after the last one the note is gone. ErrConflict: somebody else did so at
	// this moment.
	TellRekey(ctx context.Context, keyID string, e AuditEvent) (more bool, err error)
}

// ResealedSecret is a record that was sealed anew.
type ResealedSecret struct {
	SealedSecret
	FormerKeyID string // of the key that sealed it before
}
