package ledger

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

const (
	linkColumns = `ticket_hash, user_uuid, made_by, created_at, expires_at, ends_at`

	// ?7 is the most open links a user may have.
	insertLink = `
INSERT INTO sign_in_links (` + linkColumns + `)
SELECT ?1, ?2, ?3, ?4, ?5, ?6
WHERE EXISTS (SELECT 1 FROM sessions WHERE hash = ?3 AND user_uuid = ?2)
  AND (SELECT count(*) FROM sign_in_links WHERE user_uuid = ?2 AND expires_at > ?4) < ?7`

	selectLink = `SELECT ` + linkColumns + ` FROM sign_in_links WHERE ticket_hash = ?1 AND expires_at > ?2`

	countLinks = `SELECT count(*) FROM sign_in_links WHERE user_uuid = ?1 AND expires_at > ?2`

	acceptLink = `DELETE FROM sign_in_links WHERE ticket_hash = ?1 AND user_uuid = ?2 AND expires_at > ?3`

	dropOldLinks = `DELETE FROM sign_in_links WHERE expires_at <= ?1`

	deleteLinks = `DELETE FROM sign_in_links WHERE user_uuid = ?1`

	countSignIn = `
UPDATE users SET last_seen = max(last_seen, ?2), total_authentications = coalesce(total_authentications, 0) + 1
WHERE user_uuid = ?1`
)

// MakeLink implements leger.LinkStore.
func (s *Store) MakeLink(ctx context.Context, l leger.SignInLink, audit leger.AuditEvent) error {
	list := []Statement{
		statement(dropOldLinks, Timestamp(l.CreatedAt)),
		deciding(insertLink, string(l.Ticket), l.User.String(), string(l.MadeBy), Timestamp(l.CreatedAt), Timestamp(l.ExpiresAt),
			Timestamp(l.EndsAt), int64(leger.MaxLinks)),
		s.auditChange(audit),
	}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error {
		if _, err := s.Session(ctx, l.MadeBy); err != nil {
			return err
		}
		var open int64
		args := []driver.Value{l.User.String(), Timestamp(l.CreatedAt)}
		err := s.read(ctx, countLinks, args, func(r *Row) { open = r.Integer() })
		if err != nil || open < leger.MaxLinks {
			return err
		}
		return leger.Errorf(leger.CodeConflict, "you have %d open links, and no more are made", leger.MaxLinks).
			WithHint("use one of them, or wait: each ends after 2 minutes")
	})
	return err
}

// Link implements leger.LinkStore.
func (s *Store) Link(ctx context.Context, ticket leger.TicketHash, now time.Time) (l leger.SignInLink, err error) {
	found := false
	err = s.read(ctx, selectLink, []driver.Value{string(ticket), Timestamp(now)}, func(r *Row) {
		found = true
		l = leger.SignInLink{
			Ticket: leger.TicketHash(r.Text()), User: parsed(r, leger.ParseUserID), MadeBy: leger.SessionHash(r.Text()),
			CreatedAt: r.Time(), ExpiresAt: r.Time(), EndsAt: r.Time(),
		}
	})
	if err == nil && !found {
		err = noLink()
	}
	return l, err
}

func noLink() error {
	return leger.Errorf(leger.CodeNotFound, "this sign-in link was used already, or its 2 minutes are over").
		WithHint("make another one where you are signed in: Settings, Sign another browser in")
}

// AcceptLink implements leger.LinkStore.
func (s *Store) AcceptLink(ctx context.Context, l leger.SignInLink, session leger.Session, audit leger.AuditEvent) (u leger.User, err error) {
	if session.User != l.User {
		return leger.User{}, leger.Errorf(leger.CodeInternal, "the session belongs to somebody else")
	}
	list := []Statement{
		deciding(acceptLink, string(l.Ticket), l.User.String(), Timestamp(session.CreatedAt)),
		s.auditChange(audit),
		following(countSignIn, l.User.String(), Timestamp(session.CreatedAt)),
		insertSession(&session),
		readUser(l.User, &u),
	}
	_, err = s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error {
		_, err := s.Link(ctx, l.Ticket, session.CreatedAt)
		return err
	})
	if err != nil {
		return leger.User{}, err
	}
	return u, nil
}
