package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger"
)

// Every write asks for the state of its names first. Left to its own choice,
// SQLite went through all secrets that the user ever had, and parsed the list of
// names anew for each: half the time of creating one secret beside 300 others.
func TestStatesAreLookedUpByName(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "leger.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var plan []string
	args := []driver.Value{leger.LocalIdentity("alice@localhost").UserID().String(), `["one"]`}
	err = s.read(t.Context(), "EXPLAIN QUERY PLAN "+selectStates, args, func(r *row) error {
		r.next = 3 // id, parent and an unused column come first
		plan = append(plan, r.text())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != 3 || !strings.Contains(plan[0], "asked") || !strings.Contains(plan[1], "(user_uuid=? AND name=?)") {
		t.Errorf("the plan is not: each name asked for, then the secret of that name, then its value:\n%s", strings.Join(plan, "\n"))
	}
}

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
	err = s.write(t.Context(), survivesPowerLoss, func(ctx context.Context, tx *conn) error {
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
	if err := s.write(t.Context(), survivesPowerLoss, insert); err != nil {
		t.Errorf("the write after it = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
