package sqlite

import "context"

// SyncLevels gives what "PRAGMA synchronous" says inside a write of each kind,
// in the order given: true for one that survives power loss.
func (s *Store) SyncLevels(ctx context.Context, kinds ...bool) ([]int64, error) {
	var levels []int64
	for _, kind := range kinds {
		err := s.write(ctx, durability(kind), func(ctx context.Context, tx *conn) error {
			return tx.query(ctx, "PRAGMA synchronous", nil, func(r *row) error {
				levels = append(levels, r.integer())
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return levels, nil
}
