package leger

import (
	"context"
	"time"
)

const (
	// LinkLifetime is how long a link works by which a signed-in browser signs another
	// one in (design: "Browser session").
	LinkLifetime = 2 * time.Minute
	// MaxLinks is how many of a user's may be open at the same time.
	MaxLinks = 10
)

// LinkPrefix begins the ticket of a link: see Ticket.
const LinkPrefix = "leger-link-"

// SignInLink lets one browser sign in as the user of another that is signed in. It works
// once, and ends with the session of who made it.
type SignInLink struct {
	Ticket    TicketHash
	User      UserID
	MadeBy    SessionHash
	CreatedAt time.Time
	ExpiresAt time.Time
	// EndsAt is when the maker's session ends: the new one ends no later, or a browser
	// that was once signed in could stay so for ever.
	EndsAt time.Time
}

// LinkStore keeps the links that are open. Storage trouble is ErrUnavailable.
type LinkStore interface {
	// MakeLink keeps a link. ErrConflict when the user has MaxLinks open ones;
	// ErrNotFound when the session that makes it is not there any more.
	MakeLink(ctx context.Context, l SignInLink, audit AuditEvent) error
	// Link gives one that is open at now. ErrNotFound.
	Link(ctx context.Context, ticket TicketHash, now time.Time) (SignInLink, error)
	// AcceptLink uses the link up and signs a browser in, with its session and the audit
	// event. ErrNotFound when it is not open any more: of many at once one succeeds.
	AcceptLink(ctx context.Context, l SignInLink, session Session, audit AuditEvent) (User, error)
}
