package sqlite

import (
	"context"

	"leger.run/leger/internal/ledger"
)

// SyncLevels gives what "PRAGMA synchronous" says inside a write of each kind,
// in the order given: true for one that survives power loss.
func (s *Store) SyncLevels(ctx context.Context, kinds ...bool) ([]int64, error) {
	var levels []int64
	for _, kind := range kinds {
		err := s.engine.writer.do(ctx, ledger.Durability(kind), func(ctx context.Context, tx *conn) error {
			return tx.query(ctx, "PRAGMA synchronous", nil, func(r *ledger.Row) {
				levels = append(levels, r.Integer())
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return levels, nil
}
