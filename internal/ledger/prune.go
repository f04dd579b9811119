package ledger

import (
	"context"
	"time"

	"leger.run/leger"
)

const (
	// spentTokenGrace is how long a spent token is remembered after it expired: a
	// verifier may still accept it within its allowance for clocks that differ.
	spentTokenGrace = 5 * time.Minute

	// signOutKept is how long a sign-out is remembered: longer than any token lives.
	signOutKept = 31 * 24 * time.Hour

	// pruneStep is how much further in time one pruning goes than the one before. It
	// runs every hour, so the time of pruning keeps up with the clock and, after the
	// server was off, catches up; a clock that jumped ahead gains a day an hour, which
	// leaves its owner weeks to notice instead of nothing.
	pruneStep = 24 * time.Hour

	// fromTheFuture is how far ahead of the time of pruning an event must be to count
	// as one that a wrong clock dated.
	fromTheFuture = 24 * time.Hour
)

const (
	// A database that was never pruned begins at its oldest event.
	selectPrunedAt = `
SELECT coalesce(pruned_at, (SELECT at FROM audit_log ORDER BY id LIMIT 1)) FROM installation`

	updatePrunedAt = `UPDATE installation SET pruned_at = ?1`

	pruneSessions = `DELETE FROM sessions WHERE expires_at <= ?1 OR last_seen <= ?2`

	pruneSpent = `DELETE FROM spent_tokens WHERE expires_at <= ?1`

	pruneWrongCodes = `DELETE FROM wrong_codes WHERE at <= ?1`

	pruneSignOuts = `DELETE FROM sign_outs WHERE tokens_valid_after <= ?1`
)

// Prune implements leger.SessionStore. Spent tokens stay five minutes longer than
// they are valid. Audit events are forgotten as far as they fit their chains, and only
// after OpenAuditKey.
func (s *Store) Prune(ctx context.Context, now time.Time) (upTo time.Time, err error) {
	if upTo, err = s.pruneTime(ctx, now); err != nil {
		return time.Time{}, err
	}
	kept := upTo.AddDate(0, 0, -leger.AuditRetentionDays)
	err = s.write(ctx, SurvivesPowerLoss,
		statement(updatePrunedAt, Timestamp(upTo)),
		statement(pruneSessions, Timestamp(upTo), Timestamp(upTo.Add(-leger.SessionIdle))),
		statement(pruneSpent, Timestamp(upTo.Add(-spentTokenGrace))),
		statement(dropOldEnrolments, Timestamp(upTo)),
		statement(pruneWrongCodes, Timestamp(upTo.Add(-leger.EnrolmentLifetime))),
		statement(dropOldInvitations, Timestamp(upTo)),
		statement(dropOldLinks, Timestamp(upTo)),
		statement(dropOldTickets, Timestamp(upTo)),
		statement(pruneSignOuts, Timestamp(upTo.Add(-signOutKept))))
	if err == nil {
		err = s.pruneAudit(ctx, now, kept, upTo.Add(fromTheFuture))
	}
	return upTo, err
}

// pruneTime is now, unless that is more than a step after the last pruning.
func (s *Store) pruneTime(ctx context.Context, now time.Time) (time.Time, error) {
	var last time.Time
	err := s.read(ctx, selectPrunedAt, nil, func(r *Row) { last = r.Time() })
	if err != nil || last.IsZero() || !now.After(last.Add(pruneStep)) {
		return now, err
	}
	return last.Add(pruneStep), nil
}
