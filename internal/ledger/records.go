package ledger

import (
	"context"
	"database/sql/driver"

	"leger.run/leger"
)

// tellBatch is how many accounts' logs tell of a change of the key in one transaction.
const tellBatch = 500

const (
	// What is read is the record alone: who asks wants to open it, whatever the ledger
	// says of its secret.
	selectRecords = `
SELECT user_uuid, name, version, created_at, encrypted_value, nonce, encryption_version, key_id
FROM secret_versions WHERE (user_uuid, name, version) > (?1, ?2, ?3)
ORDER BY user_uuid, name, version LIMIT ?4`

	// The nonce says that it is still the same value, and the key that nobody was faster;
	// a record that was deleted stays so.
	resealRecord = `
UPDATE secret_versions SET encrypted_value = ?4, encryption_version = ?5, key_id = ?6
WHERE user_uuid = ?1 AND name = ?2 AND version = ?3 AND nonce = ?7 AND key_id = ?8`

	countVersions = `SELECT count(*) FROM secret_versions`

	// The first account is told once the row is there, the next one once told is the one
	// before.
	beginRekey = `INSERT INTO rekeys (key_id) VALUES (?1) ON CONFLICT (key_id) DO NOTHING`

	selectRekey = `SELECT told FROM rekeys WHERE key_id = ?1`

	goOnTelling = `UPDATE rekeys SET told = ?3 WHERE key_id = ?1 AND told = ?2`

	endRekey = `DELETE FROM rekeys WHERE key_id = ?1 AND told = ?2`

	selectNextUserIDs = `SELECT user_uuid FROM users WHERE user_uuid > ?1 ORDER BY user_uuid LIMIT ?2`

	selectCounts = `
SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM secrets WHERE deleted_at IS NULL),
       (SELECT count(*) FROM secret_versions), (SELECT count(*) FROM releases),
       (SELECT max(number) FROM schema_migrations)`

	deleteAllSessions = `DELETE FROM sessions`

	selectUserIDs = `SELECT user_uuid FROM users`

	// One event for each account, so that every owner sees it. ?6 is a JSON array of
	// accounts and their events' stamps, which is read once, in this order.
	insertEventForAll = `
INSERT INTO audit_log (at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail, seal)
SELECT ?1, u.user_uuid, ?2, ?3, 0, 0, ?4, '', '', '', ?5, stamped.value ->> 1
FROM json_each(?6) AS stamped CROSS JOIN users AS u ON u.user_uuid = stamped.value ->> 0`
)

// SealedVersions implements leger.RekeyStore, in order of user, name and version. Of
// SecretInfo the records have User, Name, Version, UpdatedAt and ValueID.
func (s *Store) SealedVersions(ctx context.Context, after leger.RecordPlace, limit int) (list []leger.SealedSecret, err error) {
	args := []driver.Value{after.User, after.Name, int64(after.Version), int64(limit)}
	err = s.read(ctx, selectRecords, args, func(r *Row) { list = append(list, record(r)) })
	return list, err
}

// Reseal implements leger.RekeyStore. Nonces stay.
func (s *Store) Reseal(ctx context.Context, records []leger.ResealedSecret) error {
	list := make([]Statement, len(records))
	for i := range records {
		r := &records[i]
		list[i] = statement(resealRecord, r.User.String(), r.Name.String(), int64(r.Version),
			encoded(r.Ciphertext), int64(r.EncryptionVersion), r.KeyID, encoded(r.Nonce), r.FormerKeyID)
	}
	return s.write(ctx, SurvivesPowerLoss, list...)
}

// CountVersions implements leger.RekeyStore.
func (s *Store) CountVersions(ctx context.Context) (n int, err error) {
	err = s.read(ctx, countVersions, nil, func(r *Row) { n = int(r.Integer()) })
	return n, err
}

// BeginRekey implements leger.RekeyStore.
func (s *Store) BeginRekey(ctx context.Context, keyID string) error {
	return s.write(ctx, SurvivesPowerLoss, statement(beginRekey, keyID))
}

// TellRekey implements leger.RekeyStore.
func (s *Store) TellRekey(ctx context.Context, keyID string, e leger.AuditEvent) (more bool, err error) {
	told, noted := "", false
	err = s.read(ctx, selectRekey, []driver.Value{keyID}, func(r *Row) { told, noted = r.Text(), true })
	if err != nil || !noted {
		return false, err
	}
	var users []leger.UserID
	err = s.read(ctx, selectNextUserIDs, []driver.Value{told, int64(tellBatch)}, func(r *Row) {
		users = append(users, parsed(r, leger.ParseUserID))
	})
	if err != nil {
		return false, err
	}
	more = len(users) == tellBatch
	first := deciding(endRekey, keyID, told)
	if more {
		first = deciding(goOnTelling, keyID, told, users[len(users)-1].String())
	}
	events, err := s.eventFor(users, e)
	if err != nil {
		return false, err
	}
	_, err = s.decide(ctx, SurvivesPowerLoss, []Statement{first, events}, func(ctx context.Context) error {
		now := "" // of a rekey that is over
		err := s.read(ctx, selectRekey, []driver.Value{keyID}, func(r *Row) { now = "told " + r.Text() })
		if err == nil && now != "told "+told {
			err = leger.Errorf(leger.CodeConflict, "somebody else is changing the key at the same moment").
				WithHint("try again")
		}
		return err
	})
	return more, err
}

// record reads the columns of selectRecords.
func record(r *Row) leger.SealedSecret {
	info := leger.SecretInfo{
		User: parsed(r, leger.ParseUserID), Name: parsed(r, leger.ParseSecretName), Version: leger.Version(r.Integer()),
		UpdatedAt: r.Time(),
	}
	sealed := leger.SealedSecret{
		SecretInfo: info, Ciphertext: r.bytes(), Nonce: r.bytes(), EncryptionVersion: int(r.Integer()), KeyID: r.Text(),
	}
	sealed.ValueID = leger.ValueIDOf(sealed.Nonce)
	return sealed
}

// Counts says how much a database holds.
type Counts struct {
	Users          int64
	Secrets        int64 // that are not deleted
	SecretVersions int64 // of secrets, all that are kept
	Releases       int64
	Schema         int64 // the number of the newest migration
}

// Counts counts what the database holds.
func (s *Store) Counts(ctx context.Context) (c Counts, err error) {
	err = s.read(ctx, selectCounts, nil, func(r *Row) {
		c = Counts{
			Users: r.Integer(), Secrets: r.Integer(), SecretVersions: r.Integer(), Releases: r.Integer(), Schema: r.Integer(),
		}
	})
	return c, err
}

// EndSessions signs every browser out, and records e for every account: its Action,
// Subject, Credential and Detail.
func (s *Store) EndSessions(ctx context.Context, e leger.AuditEvent) error {
	event, err := s.eventForAll(ctx, e)
	if err != nil {
		return err
	}
	return s.write(ctx, SurvivesPowerLoss, statement(deleteAllSessions), event)
}

// RecordForAll records e for every account: its Action, Subject, Credential and Detail.
func (s *Store) RecordForAll(ctx context.Context, e leger.AuditEvent) error {
	event, err := s.eventForAll(ctx, e)
	if err != nil {
		return err
	}
	return s.write(ctx, SurvivesPowerLoss, event)
}

func (s *Store) eventForAll(ctx context.Context, e leger.AuditEvent) (Statement, error) {
	var users []leger.UserID
	err := s.read(ctx, selectUserIDs, nil, func(r *Row) { users = append(users, parsed(r, leger.ParseUserID)) })
	if err != nil {
		return Statement{}, err
	}
	return s.eventFor(users, e)
}

// eventFor records e for these accounts: its Action, Subject, Credential and Detail.
func (s *Store) eventFor(users []leger.UserID, e leger.AuditEvent) (Statement, error) {
	e = leger.AuditEvent{
		At: s.eventTime(e), Action: e.Action, Subject: e.Subject, Credential: e.Credential, Detail: e.Detail,
	}
	at := Timestamp(e.At)
	stamped := make([][2]string, len(users))
	for i, user := range users {
		e.User = user
		stamped[i] = [2]string{user.String(), s.stamp(at, e)}
	}
	list, err := listJSON(stamped)
	return statement(insertEventForAll, at, string(e.Action), e.Subject, string(e.Credential), e.Detail, list), err
}
