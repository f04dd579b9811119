package ledger

import (
	"context"
	"database/sql/driver"
	"slices"
	"time"

	"leger.run/leger"
)

const (
	enrolmentColumns = `e.code, e.poll_hash, e.name, e.unix_user, e.device_id, e.public_key, e.cli_version,
       e.asked_at, e.asked_from, e.expires_at`

	dropOldEnrolments = `DELETE FROM enrolments WHERE expires_at <= ?1`

	// ?11 is the most that may wait. ON CONFLICT would hide a code that is taken.
	insertEnrolment = `
INSERT INTO enrolments (code, poll_hash, name, unix_user, device_id, public_key, cli_version, asked_at, asked_from, expires_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
WHERE NOT EXISTS (SELECT 1 FROM enrolments WHERE code = ?1) AND (SELECT count(*) FROM enrolments) < ?11`

	enrolmentByCode = `
SELECT ` + enrolmentColumns + ` FROM enrolments AS e WHERE e.code = ?1 AND e.expires_at > ?2 AND e.approved_by IS NULL`

	// To look a code up: dropOldGuesses; insertGuess, which decides, and counts every
	// code as wrong; dropGuesses, which takes that back when something waits under it;
	// enrolmentByCode.
	// ?3 is when the first one that counts was made, ?4 how many may.
	dropOldGuesses = `DELETE FROM wrong_codes WHERE user_uuid = ?1 AND at <= ?2`

	insertGuess = `
INSERT INTO wrong_codes (user_uuid, at) SELECT ?1, ?2
WHERE (SELECT count(*) FROM wrong_codes WHERE user_uuid = ?1 AND at > ?3) < ?4`

	dropGuesses = `
DELETE FROM wrong_codes WHERE user_uuid = ?1 AND EXISTS
  (SELECT 1 FROM enrolments WHERE code = ?2 AND expires_at > ?3 AND approved_by IS NULL)`

	countGuesses = `SELECT count(*) FROM wrong_codes WHERE user_uuid = ?1 AND at > ?2`

	approveEnrolment = `
UPDATE enrolments SET approved_by = ?2 WHERE code = ?1 AND expires_at > ?3 AND approved_by IS NULL`

	denyEnrolment = `DELETE FROM enrolments WHERE code = ?1 AND approved_by IS NULL`

	// A machine that was revoked since is as one that was denied.
	enrolmentByPoll = `
SELECT ` + enrolmentColumns + `, m.machine_id
FROM enrolments AS e LEFT JOIN machines AS m ON m.public_key = e.public_key AND m.user_uuid = e.approved_by
WHERE e.poll_hash = ?1 AND e.expires_at > ?2 AND (e.approved_by IS NULL OR m.machine_id IS NOT NULL)`

	invitationColumns = `invitation_id, user_uuid, ticket_hash, name, role, group_names, created_at, expires_at`

	dropOldInvitations = `DELETE FROM invitations WHERE expires_at <= ?1`

	// ?9 is the most that a user may have.
	insertInvitation = `
INSERT INTO invitations (` + invitationColumns + `)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE (SELECT count(*) FROM invitations WHERE user_uuid = ?2) < ?9`

	selectInvitations = `
SELECT ` + invitationColumns + ` FROM invitations WHERE user_uuid = ?1 AND expires_at > ?2
ORDER BY created_at DESC, invitation_id`

	invitationByTicket = `SELECT ` + invitationColumns + ` FROM invitations WHERE ticket_hash = ?1 AND expires_at > ?2`

	acceptInvitation = `DELETE FROM invitations WHERE invitation_id = ?1 AND ticket_hash = ?2 AND expires_at > ?3`

	deleteInvitation = `DELETE FROM invitations WHERE user_uuid = ?1 AND invitation_id = ?2`
)

// enrolmentOf reads enrolmentColumns.
func enrolmentOf(r *Row) leger.Enrolment {
	e := leger.Enrolment{Code: parsed(r, leger.ParseEnrolmentCode), Poll: leger.TicketHash(r.Text())}
	m := leger.Machine{Name: r.Text(), UnixUser: r.Text(), DeviceID: r.Text(), Key: parsed(r, leger.ParseMachineKey), CLIVersion: r.Text()}
	m.EnrolledAt, m.EnrolledFrom = r.Time(), r.Text()
	e.Machine, e.ExpiresAt = m, r.Time()
	return e
}

func invitationOf(r *Row) leger.Invitation {
	in := leger.Invitation{
		ID: r.Text(), User: parsed(r, leger.ParseUserID), Ticket: leger.TicketHash(r.Text()), Name: r.Text(),
		Role: parsed(r, leger.ParseMachineRole),
	}
	r.json(&in.Groups)
	in.CreatedAt, in.ExpiresAt = r.Time(), r.Time()
	return in
}

func nothingWaits() *leger.Error {
	return leger.Errorf(leger.CodeNotFound, "no machine waits under this code").
		WithHint("compare it with what the machine shows; a code ends after 10 minutes, then: leger auth login")
}

func noInvitation() *leger.Error {
	return leger.Errorf(leger.CodeNotFound, "there is no such invitation: it was accepted or withdrawn, or its hour is over").
		WithHint("make another one: leger machines invite")
}

// AskToEnrol implements leger.EnrolmentStore.
func (s *Store) AskToEnrol(ctx context.Context, e leger.Enrolment) error {
	m, asked := e.Machine, Timestamp(e.Machine.EnrolledAt)
	list := []Statement{
		statement(dropOldEnrolments, asked),
		deciding(insertEnrolment, e.Code.String(), string(e.Poll), m.Name, m.UnixUser, m.DeviceID, m.Key.String(), m.CLIVersion,
			asked, m.EnrolledFrom, Timestamp(e.ExpiresAt), int64(leger.MaxEnrolments)),
	}
	_, err := s.decide(ctx, SurvivesProcessEnd, list, func(ctx context.Context) error {
		taken := false
		err := s.read(ctx, enrolmentByCode, []driver.Value{e.Code.String(), asked}, func(*Row) { taken = true })
		switch {
		case err != nil:
			return err
		case taken:
			return leger.Errorf(leger.CodeConflict, "another machine waits under this code").WithHint("try again")
		}
		return &leger.Error{
			Code: leger.CodeRateLimited, Message: "too many machines wait for their approval",
			Hint: "try again in a few minutes, or enrol with an invitation: leger machines invite", RetryAfter: 60,
		}
	})
	return err
}

// Enrolment implements leger.EnrolmentStore.
func (s *Store) Enrolment(ctx context.Context, user leger.UserID, code leger.EnrolmentCode, now time.Time) (e leger.Enrolment, err error) {
	at, since := Timestamp(now), Timestamp(now.Add(-leger.EnrolmentLifetime))
	found := false
	list := []Statement{
		statement(dropOldGuesses, user.String(), since),
		deciding(insertGuess, user.String(), at, since, int64(leger.MaxWrongCodes)),
		statement(dropGuesses, user.String(), code.String(), at),
		{Text: enrolmentByCode, Args: []driver.Value{code.String(), at}, Each: func(r *Row) { e, found = enrolmentOf(r), true }},
	}
	_, err = s.decide(ctx, SurvivesProcessEnd, list, func(ctx context.Context) error {
		guesses := int64(0)
		if err := s.read(ctx, countGuesses, []driver.Value{user.String(), since}, func(r *Row) { guesses = r.Integer() }); err != nil {
			return err
		}
		if guesses < leger.MaxWrongCodes {
			return nil
		}
		return &leger.Error{
			Code: leger.CodeRateLimited, Message: "too many wrong codes", RetryAfter: int(leger.EnrolmentLifetime.Seconds()),
			Hint: "wait ten minutes, then compare the code with what the machine shows",
		}
	})
	if err == nil && !found {
		err = nothingWaits()
	}
	if err != nil {
		return leger.Enrolment{}, err
	}
	return e, nil
}

// ApproveEnrolment implements leger.EnrolmentStore.
func (s *Store) ApproveEnrolment(ctx context.Context, code leger.EnrolmentCode, m leger.Machine, audit leger.AuditEvent) (leger.Machine, error) {
	at := Timestamp(m.EnrolledAt)
	first := deciding(approveEnrolment, code.String(), m.User.String(), at)
	m, _, err := s.enrol(ctx, m, audit, []Statement{first}, func(ctx context.Context) error {
		waits := false
		err := s.read(ctx, enrolmentByCode, []driver.Value{code.String(), at}, func(*Row) { waits = true })
		if err == nil && !waits {
			err = nothingWaits()
		}
		return err
	})
	return m, err
}

// DenyEnrolment implements leger.EnrolmentStore.
func (s *Store) DenyEnrolment(ctx context.Context, code leger.EnrolmentCode, audit leger.AuditEvent) error {
	list := []Statement{deciding(denyEnrolment, code.String()), s.auditChange(audit)}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error { return nothingWaits() })
	return err
}

// PollEnrolment implements leger.EnrolmentStore.
func (s *Store) PollEnrolment(ctx context.Context, poll leger.TicketHash, now time.Time) (e leger.Enrolment, err error) {
	found := false
	err = s.read(ctx, enrolmentByPoll, []driver.Value{string(poll), Timestamp(now)}, func(r *Row) {
		e, found = enrolmentOf(r), true
		e.Approved = r.Text()
	})
	if err == nil && !found {
		err = leger.Errorf(leger.CodeNotFound, "this machine was not enrolled: the code was denied, or its 10 minutes are over").
			WithHint("begin again: leger auth login")
	}
	return e, err
}

// Invite implements leger.EnrolmentStore.
func (s *Store) Invite(ctx context.Context, in leger.Invitation, audit leger.AuditEvent) error {
	return s.invite(ctx, in, audit, nil)
}

// invite keeps an invitation after what is done first, and runs rest afterwards.
func (s *Store) invite(
	ctx context.Context, in leger.Invitation, audit leger.AuditEvent, first []Statement, rest ...Statement,
) error {
	groups, err := groupNames(in.Groups)
	if err != nil {
		return err
	}
	list := append(slices.Clip(first),
		statement(dropOldInvitations, Timestamp(in.CreatedAt)),
		deciding(insertInvitation, in.ID, in.User.String(), string(in.Ticket), in.Name, string(in.Role), groups,
			Timestamp(in.CreatedAt), Timestamp(in.ExpiresAt), int64(leger.MaxInvitations)),
		s.auditChange(audit))
	list = append(list, rest...)
	_, err = s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error {
		if open, err := s.Invitations(ctx, in.User, in.CreatedAt); err != nil || len(open) < leger.MaxInvitations {
			return err
		}
		return leger.Errorf(leger.CodeConflict, "%d invitations are open, and no more are made", leger.MaxInvitations).
			WithHint("withdraw some on the page of machines, or wait: each ends after an hour")
	})
	return err
}

// Invitations implements leger.EnrolmentStore.
func (s *Store) Invitations(ctx context.Context, user leger.UserID, now time.Time) (list []leger.Invitation, err error) {
	err = s.read(ctx, selectInvitations, []driver.Value{user.String(), Timestamp(now)}, func(r *Row) { list = append(list, invitationOf(r)) })
	return list, err
}

// Invitation implements leger.EnrolmentStore.
func (s *Store) Invitation(ctx context.Context, ticket leger.TicketHash, now time.Time) (in leger.Invitation, err error) {
	err = s.read(ctx, invitationByTicket, []driver.Value{string(ticket), Timestamp(now)}, func(r *Row) { in = invitationOf(r) })
	if err == nil && in.ID == "" {
		err = noInvitation()
	}
	return in, err
}

// AcceptInvitation implements leger.EnrolmentStore.
func (s *Store) AcceptInvitation(ctx context.Context, in leger.Invitation, m leger.Machine, audit leger.AuditEvent) (leger.Machine, error) {
	first := deciding(acceptInvitation, in.ID, string(in.Ticket), Timestamp(m.EnrolledAt))
	m, _, err := s.enrol(ctx, m, audit, []Statement{first}, func(ctx context.Context) error {
		_, err := s.Invitation(ctx, in.Ticket, m.EnrolledAt)
		return err
	})
	return m, err
}

// WithdrawInvitation implements leger.EnrolmentStore.
func (s *Store) WithdrawInvitation(ctx context.Context, user leger.UserID, id string, audit leger.AuditEvent) error {
	list := []Statement{deciding(deleteInvitation, user.String(), id), s.auditChange(audit)}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error { return noInvitation() })
	return err
}
