package ledger

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
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
	list := make([]Statement, 0, 5*len(writes))
	for i := range writes {
		put, err := s.putSecret(&writes[i])
		if err != nil {
			return err
		}
		list = append(list, put...)
	}
	_, err := s.engine.Write(ctx, SurvivesPowerLoss, list)
	if undecided, ok := errors.AsType[*UndecidedError](err); ok && undecided.Err != nil {
		// Perhaps only the answer was lost: what is found then is no conflict.
		if there, err := s.areThere(ctx, writes); err != nil || there {
			return err
		}
	}
	return explain(ctx, err, func(ctx context.Context) error { return s.whyNotPut(ctx, writes) })
}

// areThere tells whether these very writes are what is current: no two have the
// same nonce.
func (s *Store) areThere(ctx context.Context, writes []leger.SecretWrite) (bool, error) {
	names := make([]leger.SecretName, len(writes))
	for i := range writes {
		names[i] = writes[i].Sealed.Name
	}
	states, err := s.SecretStates(ctx, writes[0].Sealed.User, names)
	if err != nil {
		return false, err
	}
	for i, state := range states {
		sealed := &writes[i].Sealed
		if state.Current == nil || state.Version != sealed.Version || !bytes.Equal(state.Current.Nonce, sealed.Nonce) {
			return false, nil
		}
	}
	return true, nil
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

func (s *Store) putSecret(w *leger.SecretWrite) ([]Statement, error) {
	sealed := &w.Sealed
	user, name, version := sealed.User.String(), sealed.Name.String(), int64(sealed.Version)
	updated := Timestamp(sealed.UpdatedAt)
	var scope driver.Value
	if w.Scope != nil {
		text, err := scopeText(*w.Scope)
		if err != nil {
			return nil, err
		}
		scope = text
	}
	return []Statement{
		deciding(insertVersion, user, name, version,
			encoded(sealed.Ciphertext), encoded(sealed.Nonce), int64(sealed.EncryptionVersion), sealed.KeyID, updated,
			int64(leger.MaxSecretsPerUser)),
		following(countNew, user, name),
		following(updateLedger, user, name, version, sealed.ID, Timestamp(sealed.CreatedAt), updated,
			encoded(sealed.Nonce), scope),
		s.auditChange(w.Audit),
		following(pruneVersions, user, name, int64(leger.KeptSecretVersions)),
	}, nil
}

// whyNotPut tells which of insertVersion's conditions do not hold: those of the
// first write that meets one, as the database is now.
func (s *Store) whyNotPut(ctx context.Context, writes []leger.SecretWrite) error {
	created := int64(0)
	for i := range writes {
		w := &writes[i]
		var users, current, deleted, live, unknown int64
		args := []driver.Value{w.Sealed.User.String(), w.Sealed.Name.String(), int64(w.Expect)}
		err := s.read(ctx, selectWhyNotPut, args, func(r *Row) {
			users, current, deleted, live, unknown = r.Integer(), r.Integer(), r.Integer(), r.Integer(), r.Integer()
		})
		switch {
		case err != nil:
			return err
		case users == 0:
			return noUser()
		case current != int64(w.Expect):
			return staleSecret(w.Sealed.Name, leger.Version(current), w.Expect, deleted != 0)
		case unknown != 0:
			return s.damaged("it keeps versions of secret %s that its ledger does not know of", w.Sealed.Name)
		}
		if current == 0 || deleted != 0 {
			created++
		}
		if live+created > int64(leger.MaxSecretsPerUser) {
			return leger.Errorf(leger.CodeConflict, "there are %d secrets already, which is the most one account may own", leger.MaxSecretsPerUser).
				WithHint("delete a secret that is not needed any more")
		}
	}
	return nil
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

// SetScope implements leger.SecretStore.
func (s *Store) SetScope(ctx context.Context, user leger.UserID, name leger.SecretName, scope leger.Scope, audit leger.AuditEvent) error {
	text, err := scopeText(scope)
	if err != nil {
		return err
	}
	list := []Statement{deciding(setScope, user.String(), name.String(), text), s.auditChange(audit)}
	_, err = s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error { return s.whyAbsent(ctx, user, name) })
	return err
}

// DeleteSecret implements leger.SecretStore.
func (s *Store) DeleteSecret(ctx context.Context, user leger.UserID, name leger.SecretName, expect leger.Version, audit leger.AuditEvent) error {
	list := []Statement{
		deciding(markDeleted, user.String(), name.String(), int64(expect), Timestamp(s.eventTime(audit))),
		following(countDeleted, user.String()),
		s.auditChange(audit),
		following(forgetVersions, user.String(), name.String()),
	}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error { return s.whyNotDeleted(ctx, user, name, expect) })
	return err
}

func (s *Store) whyNotDeleted(ctx context.Context, user leger.UserID, name leger.SecretName, expect leger.Version) error {
	var current leger.Version
	err := s.read(ctx, selectLiveVersion, []driver.Value{user.String(), name.String()}, func(r *Row) {
		current = leger.Version(r.Integer())
	})
	switch {
	case err != nil:
		return err
	case current == 0:
		return s.whyAbsent(ctx, user, name)
	case expect == 0, current == expect:
		return leger.NoSuchSecret(name) // it was not there a moment ago, and came back since
	}
	return staleSecret(name, current, expect, false)
}

// RecordAccess implements leger.SecretStore. The minute is the audit event's.
func (s *Store) RecordAccess(ctx context.Context, user leger.UserID, names []leger.SecretName, audit leger.AuditEvent) error {
	minute := Timestamp(s.eventTime(audit).UTC().Truncate(time.Minute))
	touch := statement(touchAllSecrets, user.String(), minute)
	if len(names) > 0 {
		asked, err := namesJSON(names)
		if err != nil {
			return err
		}
		touch = statement(touchSecrets, user.String(), minute, asked)
	}
	return s.write(ctx, SurvivesProcessEnd, s.auditEvent(audit), touch)
}
