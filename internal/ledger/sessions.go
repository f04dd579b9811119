package ledger

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

const (
	sessionColumns = `hash, session_id, user_uuid, created_at, last_seen, expires_at, user_agent, remote_addr`

	selectSession = `SELECT ` + sessionColumns + ` FROM sessions WHERE hash = ?1`

	// ?3 is the time before which a session seen last has gone idle.
	selectLiveSessions = `
SELECT ` + sessionColumns + ` FROM sessions
WHERE user_uuid = ?1 AND expires_at > ?2 AND last_seen > ?3
ORDER BY last_seen DESC, session_id`

	insertSessionRow = `
INSERT INTO sessions (` + sessionColumns + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`

	touchSession = `UPDATE sessions SET last_seen = ?2 WHERE hash = ?1 AND last_seen < ?2`

	deleteSession = `DELETE FROM sessions WHERE user_uuid = ?1 AND session_id = ?2`

	markSpent = `INSERT INTO spent_tokens (jti, expires_at) VALUES (?1, ?2) ON CONFLICT (jti) DO NOTHING`

	countSpent = `SELECT count(*) FROM spent_tokens WHERE jti = ?1`

	// The columns of an account, and whether a token was spent.
	selectTokenUser = `
SELECT ` + userColumns + `, EXISTS (SELECT 1 FROM spent_tokens WHERE jti = ?2)
FROM users WHERE user_uuid = ?1`
)

// Session implements leger.SessionStore.
func (s *Store) Session(ctx context.Context, hash leger.SessionHash) (found leger.Session, err error) {
	err = s.read(ctx, selectSession, []driver.Value{string(hash)}, func(r *Row) {
		found = session(r)
	})
	if err == nil && found.Hash == "" {
		err = noSession()
	}
	return found, err
}

// Sessions implements leger.SessionStore.
func (s *Store) Sessions(ctx context.Context, user leger.UserID, now time.Time) (list []leger.Session, err error) {
	args := []driver.Value{user.String(), Timestamp(now), Timestamp(now.Add(-leger.SessionIdle))}
	err = s.read(ctx, selectLiveSessions, args, func(r *Row) {
		list = append(list, session(r))
	})
	return list, err
}

// session reads sessionColumns.
func session(r *Row) leger.Session {
	return leger.Session{
		Hash: leger.SessionHash(r.Text()), ID: r.Text(), User: parsed(r, leger.ParseUserID),
		CreatedAt: r.Time(), LastSeen: r.Time(), ExpiresAt: r.Time(), UserAgent: r.Text(), RemoteAddr: r.Text(),
	}
}

func noSession() error { return leger.Errorf(leger.CodeNotFound, "there is no such session") }

func insertSession(in *leger.Session) Statement {
	return statement(insertSessionRow, string(in.Hash), in.ID, in.User.String(),
		Timestamp(in.CreatedAt), Timestamp(in.LastSeen), Timestamp(in.ExpiresAt), in.UserAgent, in.RemoteAddr)
}

// TouchSession implements leger.SessionStore. A session that is not there any
// more stays away, and is no error.
func (s *Store) TouchSession(ctx context.Context, hash leger.SessionHash, at time.Time) error {
	return s.write(ctx, SurvivesProcessEnd, statement(touchSession, string(hash), Timestamp(at)))
}

// DeleteSession implements leger.SessionStore.
func (s *Store) DeleteSession(ctx context.Context, user leger.UserID, id string, audit leger.AuditEvent) error {
	list := []Statement{deciding(deleteSession, user.String(), id), s.auditChange(audit)}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error { return noSession() })
	return err
}

// SpendToken implements leger.SessionStore.
func (s *Store) SpendToken(ctx context.Context, jti string, expires time.Time) error {
	list := []Statement{deciding(markSpent, jti, Timestamp(expires))}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error {
		return leger.Errorf(leger.CodeConflict, "the token was used already")
	})
	return err
}

// TokenSpent implements leger.SessionStore.
func (s *Store) TokenSpent(ctx context.Context, jti string) (spent bool, err error) {
	err = s.read(ctx, countSpent, []driver.Value{jti}, func(r *Row) { spent = r.Integer() > 0 })
	return spent, err
}

// TokenUser implements leger.SessionStore, in one read.
func (s *Store) TokenUser(ctx context.Context, id leger.UserID, jti string) (u leger.User, spent bool, err error) {
	err = s.read(ctx, selectTokenUser, []driver.Value{id.String(), jti}, func(r *Row) {
		u = userOf(r, id)
		spent = r.Integer() > 0
	})
	if err == nil && u.ID.IsZero() {
		err = noUser()
	}
	return u, spent, err
}
