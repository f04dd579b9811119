package ledger

import (
	"context"
	"time"

	"leger.run/leger"
)

const (
	selectInstallation = `SELECT installation_id, epoch FROM installation`

	// ?1 is the time in seconds: a copy may be put back twice, and the second time is
	// another epoch.
	raiseEpoch = `UPDATE installation SET epoch = max(epoch + 1, ?1), is_copy = 0`

	// MarkCopy is run on a copy of the database, so that who starts on it knows.
	MarkCopy = `UPDATE installation SET is_copy = 1`

	selectVerdict = `
SELECT
    (SELECT count(*) FROM installation),
    (SELECT count(*) FROM users AS u WHERE u.secret_count <>
        (SELECT count(*) FROM secrets AS s WHERE s.user_uuid = u.user_uuid AND s.deleted_at IS NULL)),
    (SELECT count(*) FROM secrets AS s WHERE s.deleted_at IS NULL AND NOT EXISTS
        (SELECT 1 FROM secret_versions AS v WHERE ` + currentVersion + ` AND v.nonce = s.value_id)),
    (SELECT count(*) FROM secret_versions AS v WHERE NOT EXISTS
        (SELECT 1 FROM secrets AS s WHERE s.user_uuid = v.user_uuid AND s.name = v.name
            AND s.deleted_at IS NULL AND s.version >= v.version)),
    (SELECT count(*) FROM secrets AS s WHERE NOT EXISTS
        (SELECT 1 FROM users AS u WHERE u.user_uuid = s.user_uuid))`
)

// InstallationRead is what Installation reads, for engines that can read ahead.
func InstallationRead() Statement { return statement(selectInstallation) }

// Installation implements leger.InstallationStore. ErrInternal when the database
// does not say, which only damage does.
func (s *Store) Installation(ctx context.Context) (in leger.Installation, err error) {
	err = s.engine.Read(ctx, InstallationRead(), func(r *Row) {
		in = leger.Installation{ID: r.Text(), Epoch: r.Integer()}
	})
	if err == nil && (!leger.ValidID(in.ID) || in.Epoch < 1) {
		err = s.damaged("it does not say which installation it belongs to")
	}
	return in, err
}

// RaiseEpoch begins a new epoch: for whoever puts the data back to an earlier state.
func (s *Store) RaiseEpoch(ctx context.Context, now time.Time) error {
	return s.write(ctx, SurvivesPowerLoss, statement(raiseEpoch, now.Unix()))
}

// RaiseEpochOfCopy begins a new epoch if the database is a copy that was put in the
// place of another, and tells whether it was.
func (s *Store) RaiseEpochOfCopy(ctx context.Context, now time.Time) (raised bool, err error) {
	written, err := s.engine.Write(ctx, SurvivesPowerLoss, []Statement{
		statement(raiseEpoch+` WHERE is_copy = 1`, now.Unix()),
	})
	return err == nil && written[0] > 0, err
}

// Verify goes through the ledger of every account and holds it against the versions
// that are kept and the secrets that are counted. ErrInternal says what is damaged.
// It reads every key of the tables: for once a day, not for every request.
func (s *Store) Verify(ctx context.Context) error {
	var installations, counts, torn, unknown, orphans int64
	err := s.read(ctx, selectVerdict, nil, func(r *Row) {
		installations, counts, torn = r.Integer(), r.Integer(), r.Integer()
		unknown, orphans = r.Integer(), r.Integer()
	})
	switch {
	case err != nil:
		return err
	case installations != 1:
		return s.damaged("it does not say which installation it belongs to")
	case counts+torn+unknown+orphans != 0:
		return s.damaged("%d accounts count other secrets than are listed, %d secrets lack their value, "+
			"%d versions lack their secret, %d secrets lack their account", counts, torn, unknown, orphans)
	}
	return nil
}
