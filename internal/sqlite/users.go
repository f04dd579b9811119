package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

const (
	selectUser = `
SELECT tailscale_user_id, tailscale_email, tailnet, display_name, created_at, last_seen,
       last_device_id, cli_version, total_authentications, tokens_valid_after
FROM users WHERE user_uuid = ?1`

	// A device or client that did not say what it is leaves the last one that did.
	upsertUser = `
INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet, created_at, last_seen,
                   last_device_id, cli_version, total_authentications)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, 1)
ON CONFLICT (user_uuid) DO UPDATE SET
    tailscale_email = excluded.tailscale_email,
    tailnet = excluded.tailnet,
    last_seen = max(last_seen, excluded.last_seen),
    last_device_id = coalesce(excluded.last_device_id, last_device_id),
    cli_version = coalesce(excluded.cli_version, cli_version),
    total_authentications = coalesce(total_authentications, 0) + 1`

	updateDisplayName = `UPDATE users SET display_name = ?2 WHERE user_uuid = ?1`

	updateValidAfter = `
UPDATE users SET tokens_valid_after = max(coalesce(tokens_valid_after, ''), ?2) WHERE user_uuid = ?1`

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
	err = s.write(ctx, survivesPowerLoss, func(ctx context.Context, tx *conn) error {
		if _, err := tx.exec(ctx, upsertUser, id.String(), in.Identity.TailscaleUserID.String(), in.Identity.Email,
			in.Identity.Tailnet, timestamp(in.At), textOrNull(in.Identity.DeviceID), textOrNull(in.CLIVersion)); err != nil {
			return err
		}
		if err := s.auditChange(ctx, tx, in.Audit); err != nil {
			return err
		}
		if session != nil {
			if err := insertSession(ctx, tx, session); err != nil {
				return err
			}
		}
		var err error
		u, err = readUser(ctx, tx, id)
		return err
	})
	if err != nil {
		return leger.User{}, false, err
	}
	return u, u.TotalAuthentications == 1, nil
}

// User implements leger.UserStore.
func (s *Store) User(ctx context.Context, id leger.UserID) (u leger.User, err error) {
	err = s.readers.with(ctx, func(c *conn) error {
		var err error
		u, err = readUser(context.WithoutCancel(ctx), c, id)
		return err
	})
	return u, err
}

func readUser(ctx context.Context, c *conn, id leger.UserID) (leger.User, error) {
	u := leger.User{}
	err := c.query(ctx, selectUser, []driver.Value{id.String()}, func(r *row) error {
		u = leger.User{
			ID: id, TailscaleUserID: parsed(r, leger.ParseTailscaleUserID), Email: r.text(), Tailnet: r.text(),
			DisplayName: r.text(), CreatedAt: r.time(), LastSeen: r.time(),
			LastDeviceID: r.text(), CLIVersion: r.text(), TotalAuthentications: r.integer(), TokensValidAfter: r.time(),
		}
		return nil
	})
	if err == nil && u.ID.IsZero() {
		err = noUser()
	}
	return u, err
}

func noUser() error { return leger.Errorf(leger.CodeNotFound, "there is no such account") }

// CountUsers implements leger.UserStore.
func (s *Store) CountUsers(ctx context.Context) (n int, err error) {
	err = s.read(ctx, `SELECT count(*) FROM users`, nil, func(r *row) error {
		n = int(r.integer())
		return nil
	})
	return n, err
}

// SetDisplayName implements leger.UserStore.
func (s *Store) SetDisplayName(ctx context.Context, id leger.UserID, name string, audit leger.AuditEvent) (u leger.User, err error) {
	err = s.write(ctx, survivesPowerLoss, func(ctx context.Context, tx *conn) error {
		err := s.changeUser(ctx, tx, audit, updateDisplayName, id.String(), textOrNull(name))
		if err != nil {
			return err
		}
		u, err = readUser(ctx, tx, id)
		return err
	})
	if err != nil {
		return leger.User{}, err
	}
	return u, nil
}

// SignOutEverywhere implements leger.UserStore. ErrNotFound if there is no such
// account.
func (s *Store) SignOutEverywhere(ctx context.Context, id leger.UserID, keep leger.SessionHash, at time.Time, audit leger.AuditEvent) (int, error) {
	var ended int64
	err := s.write(ctx, survivesPowerLoss, func(ctx context.Context, tx *conn) error {
		err := s.changeUser(ctx, tx, audit, updateValidAfter, id.String(), timestamp(at))
		if err == nil {
			ended, err = tx.exec(ctx, deleteOtherSessions, id.String(), string(keep))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(ended), nil
}

// DeleteUser implements leger.UserStore.
func (s *Store) DeleteUser(ctx context.Context, id leger.UserID, audit leger.AuditEvent) error {
	return s.write(ctx, survivesPowerLoss, func(ctx context.Context, tx *conn) error {
		return s.changeUser(ctx, tx, audit, deleteUser, id.String())
	})
}

// changeUser runs a statement about one account, and writes the audit event.
func (s *Store) changeUser(ctx context.Context, tx *conn, audit leger.AuditEvent, text string, args ...driver.Value) error {
	written, err := tx.exec(ctx, text, args...)
	if err != nil {
		return err
	}
	if written == 0 {
		return noUser()
	}
	return s.auditChange(ctx, tx, audit)
}
