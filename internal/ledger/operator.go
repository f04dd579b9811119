package ledger

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

const (
	// ?3 is the latest end that a ticket may have, so that none is a key for good.
	selectOperatorTicket = `
SELECT count(*) FROM operator_tickets WHERE ticket_hash = ?1 AND expires_at > ?2 AND expires_at <= ?3`

	dropOldTickets = `DELETE FROM operator_tickets WHERE expires_at <= ?1`

	// A person who has not signed in yet: the first sign-in counts as the first.
	insertAccount = `
INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet, created_at, last_seen,
                   total_authentications, tokens_valid_after)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0, (SELECT tokens_valid_after FROM sign_outs WHERE user_uuid = ?1))
ON CONFLICT (user_uuid) DO NOTHING`
)

// OperatorTicket implements leger.OperatorStore.
func (s *Store) OperatorTicket(ctx context.Context, ticket leger.TicketHash, now time.Time) error {
	open := false
	latest := Timestamp(now.Add(leger.OperatorLifetime + leger.OperatorSkew))
	err := s.read(ctx, selectOperatorTicket, []driver.Value{string(ticket), Timestamp(now), latest}, func(r *Row) {
		open = r.Integer() > 0
	})
	if err == nil && !open {
		err = leger.Errorf(leger.CodeNotFound, "there is no such ticket of an operator, or its time is over")
	}
	return err
}

// InviteOwner implements leger.OperatorStore.
func (s *Store) InviteOwner(
	ctx context.Context, owner leger.Identity, in leger.Invitation, audit leger.AuditEvent,
) (u leger.User, err error) {
	if in.User != owner.UserID() {
		return leger.User{}, leger.Errorf(leger.CodeInternal, "the invitation belongs to somebody else")
	}
	account := statement(insertAccount, in.User.String(), owner.TailscaleUserID.String(), owner.Email, owner.Tailnet,
		Timestamp(in.CreatedAt))
	err = s.invite(ctx, in, audit, []Statement{account}, readUser(in.User, &u))
	if err != nil {
		return leger.User{}, err
	}
	return u, nil
}
