package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
)

// Somebody removes the lock of a running server: a second one made it anew, and there
// were two writers.
func TestARemovedLockLetsNoSecondServerIn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	first, err := sqlite.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Lock(path); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("the second one: %v; want unavailable", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	last, err := sqlite.Lock(path)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := last.Release(); err != nil {
		t.Fatal(err)
	}
}
