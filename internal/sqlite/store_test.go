package sqlite_test

import (
	"path/filepath"
	"testing"

	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db")})
		return storetest.Stores{Secrets: s, Users: s, Sessions: s, Releases: s, Audit: s}
	})
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
