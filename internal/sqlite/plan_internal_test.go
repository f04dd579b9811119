package sqlite

import (
	"database/sql/driver"
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
