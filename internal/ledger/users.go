package ledger

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

const (
	// userColumns are read by userOf.
	userColumns = `users.tailscale_user_id, users.tailscale_email, users.tailnet, users.display_name, users.created_at,
       users.last_seen, users.last_device_id, users.cli_version, users.total_authentications, users.tokens_valid_after`

	selectUser = `SELECT ` + userColumns + ` FROM users WHERE user_uuid = ?1`

	// People are few, and this is asked only when a tagged device is enrolled: no index.
	selectUserByEmail = `SELECT user_uuid, ` + userColumns + ` FROM users WHERE tailscale_email = ?1 COLLATE NOCASE LIMIT 2`

	// A device or client that did not say what it is leaves the last one that did.
	upsertUser = `
INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet, created_at, last_seen,
                   last_device_id, cli_version, total_authentications, tokens_valid_after)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, 1,
        (SELECT tokens_valid_after FROM sign_outs WHERE user_uuid = ?1))
ON CONFLICT (user_uuid) DO UPDATE SET
    tailscale_email = excluded.tailscale_email,
    tailnet = excluded.tailnet,
    last_seen = max(last_seen, excluded.last_seen),
    last_device_id = coalesce(excluded.last_device_id, last_device_id),
    cli_version = coalesce(excluded.cli_version, cli_version),
    total_authentications = coalesce(total_authentications, 0) + 1`

	updateDisplayName = `UPDATE users SET display_name = ?2 WHERE user_uuid = ?1`

	updateValidAfter = `
UPDATE users SET tokens_valid_after = max(coalesce(tokens_valid_after, ''), coalesce(latest_token_at, ''), ?2)
WHERE user_uuid = ?1`

	updateNewestIssue = `
UPDATE users SET latest_token_at = ?2 WHERE user_uuid = ?1 AND coalesce(latest_token_at, '') < ?2`

	// It follows updateValidAfter, and outlives the account.
	rememberSignOut = `
INSERT INTO sign_outs (user_uuid, tokens_valid_after)
SELECT user_uuid, tokens_valid_after FROM users WHERE user_uuid = ?1 AND tokens_valid_after IS NOT NULL
ON CONFLICT (user_uuid) DO UPDATE SET tokens_valid_after = excluded.tokens_valid_after`

	selectValidAfter = `
SELECT max(coalesce((SELECT tokens_valid_after FROM users WHERE user_uuid = ?1), ''),
           coalesce((SELECT tokens_valid_after FROM sign_outs WHERE user_uuid = ?1), ''))`

	// It precedes deleteUser: a token from before the deletion makes no account anew.
	rememberDeletion = `
INSERT INTO sign_outs (user_uuid, tokens_valid_after)
SELECT user_uuid, max(coalesce(tokens_valid_after, ''), coalesce(latest_token_at, ''), ?2) FROM users WHERE user_uuid = ?1
ON CONFLICT (user_uuid) DO UPDATE SET tokens_valid_after = max(tokens_valid_after, excluded.tokens_valid_after)`

	deleteOtherSessions = `DELETE FROM sessions WHERE user_uuid = ?1 AND hash <> ?2`

	// What the account owns goes with it, by the tables' ON DELETE CASCADE.
	deleteUser = `DELETE FROM users WHERE user_uuid = ?1`
)

// SignIn implements leger.UserStore.
func (s *Store) SignIn(ctx context.Context, in leger.SignIn, session *leger.Session) (u leger.User, created bool, err error) {
	id := in.Identity.UserID()
	if session != nil && session.User != id {
		return leger.User{}, false, leger.Errorf(leger.CodeInternal, "the session belongs to somebody else")
	}
	list := []Statement{
		statement(upsertUser, id.String(), in.Identity.TailscaleUserID.String(), in.Identity.Email,
			in.Identity.Tailnet, Timestamp(in.At), textOrNull(in.Identity.DeviceID), textOrNull(in.CLIVersion)),
		s.auditChange(in.Audit),
	}
	if session != nil {
		list = append(list, insertSession(session))
	}
	if err := s.write(ctx, SurvivesPowerLoss, append(list, readUser(id, &u))...); err != nil {
		return leger.User{}, false, err
	}
	return u, u.TotalAuthentications == 1, nil
}

// User implements leger.UserStore.
func (s *Store) User(ctx context.Context, id leger.UserID) (u leger.User, err error) {
	query := readUser(id, &u)
	err = s.engine.Read(ctx, query, query.Each)
	if err == nil && u.ID.IsZero() {
		err = noUser()
	}
	return u, err
}

// readUser is the statement that reads an account into u.
func readUser(id leger.UserID, u *leger.User) Statement {
	return Statement{Text: selectUser, Args: []driver.Value{id.String()}, Each: func(r *Row) { *u = userOf(r, id) }}
}

// UserByEmail implements leger.UserStore.
func (s *Store) UserByEmail(ctx context.Context, email string) (u leger.User, err error) {
	found := 0
	err = s.engine.Read(ctx, statement(selectUserByEmail, email), func(r *Row) {
		found++
		u = userOf(r, parsed(r, leger.ParseUserID))
	})
	if err == nil && found != 1 {
		return leger.User{}, noUser()
	}
	return u, err
}

// userOf reads userColumns.
func userOf(r *Row, id leger.UserID) leger.User {
	return leger.User{
		ID: id, TailscaleUserID: parsed(r, leger.ParseTailscaleUserID), Email: r.Text(), Tailnet: r.Text(),
		DisplayName: r.Text(), CreatedAt: r.Time(), LastSeen: r.Time(),
		LastDeviceID: r.Text(), CLIVersion: r.Text(), TotalAuthentications: r.Integer(), TokensValidAfter: r.Time(),
	}
}

func noUser() error { return leger.Errorf(leger.CodeNotFound, "there is no such account") }

// TokensValidAfter implements leger.UserStore.
func (s *Store) TokensValidAfter(ctx context.Context, id leger.UserID) (at time.Time, err error) {
	err = s.read(ctx, selectValidAfter, []driver.Value{id.String()}, func(r *Row) {
		if text := r.Text(); text != "" {
			at = r.timeOf(text)
		}
	})
	return at, err
}

// CountUsers implements leger.UserStore.
func (s *Store) CountUsers(ctx context.Context) (n int, err error) {
	err = s.read(ctx, `SELECT count(*) FROM users`, nil, func(r *Row) { n = int(r.Integer()) })
	return n, err
}

// SetDisplayName implements leger.UserStore.
func (s *Store) SetDisplayName(ctx context.Context, id leger.UserID, name string, audit leger.AuditEvent) (u leger.User, err error) {
	_, err = s.changeUser(ctx, audit, deciding(updateDisplayName, id.String(), textOrNull(name)), readUser(id, &u))
	if err != nil {
		return leger.User{}, err
	}
	return u, nil
}

// SignOutEverywhere implements leger.UserStore. ErrNotFound if there is no such
// account.
func (s *Store) SignOutEverywhere(ctx context.Context, id leger.UserID, keep leger.SessionHash, at time.Time, audit leger.AuditEvent) (int, error) {
	written, err := s.changeUser(ctx, audit, deciding(updateValidAfter, id.String(), Timestamp(at)),
		following(rememberSignOut, id.String()), following(deleteLinks, id.String()),
		following(deleteOtherSessions, id.String(), string(keep)))
	if err != nil {
		return 0, err
	}
	return int(written[len(written)-1]), nil
}

// NoteToken implements leger.UserStore. The second is what a token's time of issue
// is rounded down by.
func (s *Store) NoteToken(ctx context.Context, id leger.UserID, issued time.Time) error {
	return s.write(ctx, SurvivesPowerLoss, statement(updateNewestIssue, id.String(), Timestamp(issued.Add(time.Second))))
}

// DeleteUser implements leger.UserStore. A token tells its time of issue in whole
// seconds, so the account comes back with one of the next second.
func (s *Store) DeleteUser(ctx context.Context, id leger.UserID, audit leger.AuditEvent) error {
	after := audit.At.Truncate(time.Second).Add(time.Second)
	list := []Statement{
		statement(rememberDeletion, id.String(), Timestamp(after)), deciding(deleteUser, id.String()), s.auditChange(audit),
	}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error { return s.whyNoUser(ctx, id) })
	return err
}

// whyNoUser tells an account that is not there from storage that is away, which D1
// cannot.
func (s *Store) whyNoUser(ctx context.Context, id leger.UserID) error {
	_, err := s.User(ctx, id)
	return err
}

// changeUser runs a statement about one account, writes the audit event, and then
// does the rest.
func (s *Store) changeUser(ctx context.Context, audit leger.AuditEvent, change Statement, rest ...Statement) ([]int64, error) {
	list := append([]Statement{change, s.auditChange(audit)}, rest...)
	return s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error { return noUser() })
}
