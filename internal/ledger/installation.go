package ledger

import (
	"context"

	"leger.run/leger"
)

const selectInstallation = `SELECT installation_id, epoch FROM installation`

// InstallationRead is what Installation reads, for engines that can read ahead.
func InstallationRead() Statement { return statement(selectInstallation) }

// Installation implements leger.InstallationStore. ErrInternal when the database
// does not say, which only damage does.
func (s *Store) Installation(ctx context.Context) (in leger.Installation, err error) {
	err = s.engine.Read(ctx, InstallationRead(), func(r *Row) {
		in = leger.Installation{ID: r.Text(), Epoch: r.Integer()}
	})
	if err == nil && (!leger.ValidID(in.ID) || in.Epoch < 1) {
		err = damaged("it does not say which installation it belongs to")
	}
	return in, err
}
