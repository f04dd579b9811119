package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
)

// A caller may run the writer in its own goroutine, which net/http lets outlive a
// panic: the next one must find the writer free, and nothing half done.
func TestPanicInAWriteLeavesTheWriterFree(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "leger.db")})
	if err != nil {
		t.Fatal(err)
	}
	insert := func(ctx context.Context, tx *conn) error {
		_, err := tx.exec(ctx, `INSERT INTO spent_tokens (jti, expires_at) VALUES ('a', '2100-01-01T00:00:00.000000Z')`)
		return err
	}
	err = s.engine.writer.do(t.Context(), ledger.SurvivesPowerLoss, func(ctx context.Context, tx *conn) error {
		if err := insert(ctx, tx); err != nil {
			return err
		}
		panic("in the middle")
	})
	if !errors.Is(err, leger.ErrInternal) {
		t.Errorf("the write that panicked = %v", err)
	}
	if spent, err := s.TokenSpent(t.Context(), "a"); err != nil || spent {
		t.Errorf("half of it was written: %v, %v", spent, err)
	}
	if err := s.engine.writer.do(t.Context(), ledger.SurvivesPowerLoss, insert); err != nil {
		t.Errorf("the write after it = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
