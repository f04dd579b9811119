package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

// PutSecrets implements leger.SecretStore.
func (s *Store) PutSecrets(ctx context.Context, writes []leger.SecretWrite) error {
	if len(writes) == 0 {
		return nil
	}
	for i := range writes {
		if err := checkWrite(&writes[i], writes[0].Sealed.User); err != nil {
			return err
		}
	}
	return s.write(ctx, survivesPowerLoss, func(ctx context.Context, tx *conn) error {
		for i := range writes {
			if err := s.putSecret(ctx, tx, &writes[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkWrite finds callers that break the contract, before anything is written.
func checkWrite(w *leger.SecretWrite, user leger.UserID) error {
	switch {
	case w.Sealed.User != user:
		return leger.Errorf(leger.CodeInternal, "the writes are of more than one user")
	case w.Sealed.Version != w.Expect+1:
		return leger.Errorf(leger.CodeInternal, "version %d of secret %s does not follow version %d", w.Sealed.Version, w.Sealed.Name, w.Expect)
	}
	return nil
}

func (s *Store) putSecret(ctx context.Context, tx *conn, w *leger.SecretWrite) error {
	sealed := &w.Sealed
	user, name, version := sealed.User.String(), sealed.Name.String(), int64(sealed.Version)
	updated := timestamp(sealed.UpdatedAt)
	written, err := tx.exec(ctx, insertVersion, user, name, version,
		encoded(sealed.Ciphertext), encoded(sealed.Nonce), int64(sealed.EncryptionVersion), sealed.KeyID, updated,
		int64(leger.MaxSecretsPerUser))
	if err != nil {
		return err
	}
	if written == 0 {
		return whyNotPut(ctx, tx, w)
	}
	if _, err := tx.exec(ctx, updateLedger, user, name, version, sealed.ID, timestamp(sealed.CreatedAt), updated); err != nil {
		return err
	}
	if err := s.auditChange(ctx, tx, w.Audit); err != nil {
		return err
	}
	_, err = tx.exec(ctx, pruneVersions, user, name, int64(leger.KeptSecretVersions))
	return err
}

// whyNotPut tells which of insertVersion's conditions did not hold.
func whyNotPut(ctx context.Context, tx *conn, w *leger.SecretWrite) error {
	var users, current, deleted int64
	err := tx.query(ctx, selectWhyNotPut, []driver.Value{w.Sealed.User.String(), w.Sealed.Name.String()}, func(r *row) error {
		users, current, deleted = r.integer(), r.integer(), r.integer()
		return nil
	})
	switch {
	case err != nil:
		return err
	case users == 0:
		return noUser()
	case current == int64(w.Expect):
		return leger.Errorf(leger.CodeConflict, "there are %d secrets already, which is the most one account may own", leger.MaxSecretsPerUser).
			WithHint("delete a secret that is not needed any more")
	}
	return staleSecret(w.Sealed.Name, leger.Version(current), w.Expect, deleted != 0)
}

func staleSecret(name leger.SecretName, current, expect leger.Version, deleted bool) error {
	state := "is at version"
	if deleted {
		state = "was deleted at version"
	}
	e := leger.Errorf(leger.CodeConflict, "secret %s %s %d, not %d", name, state, current, expect).
		WithHint("look at the current version and try again")
	e.Version = current
	return e
}

// DeleteSecret implements leger.SecretStore.
func (s *Store) DeleteSecret(ctx context.Context, user leger.UserID, name leger.SecretName, expect leger.Version, audit leger.AuditEvent) error {
	return s.write(ctx, survivesPowerLoss, func(ctx context.Context, tx *conn) error {
		written, err := tx.exec(ctx, markDeleted, user.String(), name.String(), int64(expect), timestamp(s.eventTime(audit)))
		if err != nil {
			return err
		}
		if written == 0 {
			return whyNotDeleted(ctx, tx, user, name, expect)
		}
		if err := s.auditChange(ctx, tx, audit); err != nil {
			return err
		}
		_, err = tx.exec(ctx, forgetVersions, user.String(), name.String())
		return err
	})
}

func whyNotDeleted(ctx context.Context, tx *conn, user leger.UserID, name leger.SecretName, expect leger.Version) error {
	var current leger.Version
	err := tx.query(ctx, selectLiveVersion, []driver.Value{user.String(), name.String()}, func(r *row) error {
		current = leger.Version(r.integer())
		return nil
	})
	switch {
	case err != nil:
		return err
	case current == 0:
		return noSecret(name)
	}
	return staleSecret(name, current, expect, false)
}

// RecordAccess implements leger.SecretStore. The minute is the audit event's.
func (s *Store) RecordAccess(ctx context.Context, user leger.UserID, names []leger.SecretName, audit leger.AuditEvent) error {
	minute := timestamp(s.eventTime(audit).UTC().Truncate(time.Minute))
	text, args := touchAllSecrets, []driver.Value{user.String(), minute}
	if len(names) > 0 {
		asked, err := namesJSON(names)
		if err != nil {
			return err
		}
		text, args = touchSecrets, append(args, asked)
	}
	return s.write(ctx, survivesProcessEnd, func(ctx context.Context, tx *conn) error {
		if err := s.auditEvent(ctx, tx, audit); err != nil {
			return err
		}
		_, err := tx.exec(ctx, text, args...)
		return err
	})
}
