package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/migrations"
)

// What an operator runs beside the server: look, copy, touch nothing.
func TestReadOnlyBesideTheWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "leger.db")
	server := startChild(t, "write", path)
	for range 50 {
		server.line()
	}
	s := open(t, sqlite.Config{Path: path, ReadOnly: true})
	user := owner().UserID()
	list, err := s.SealedSecrets(t.Context(), user, nil)
	if err != nil || len(list) == 0 {
		t.Errorf("%d secrets, %v", len(list), err)
	}
	if err := put(t, s, user, "key", 0, "x"); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("a write = %v", err)
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "copy.db")); err != nil {
		t.Error(err)
	}
	if line := server.line(); line == "" || line[:4] == "erro" {
		t.Errorf("the writer says %q", line)
	}
	server.kill(t)
	for server.lines.Scan() { // until it is gone
	}
	_ = server.cmd.Wait() // says that it was killed
	there := open(t, sqlite.Config{Path: filepath.Join(dir, "copy.db")})
	if list, err := there.SealedSecrets(t.Context(), user, nil); err != nil || len(list) == 0 {
		t.Errorf("in the copy: %d secrets, %v", len(list), err)
	}
}

func TestReadOnlyMakesAndMigratesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, ReadOnly: true}); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("a database that is not there: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	all := schema(t)
	for what, other := range map[string][]migrations.Migration{
		"older": all[:2], "newer": append(all, migrations.Migration{Number: len(all) + 1, Name: "9999_x", SQL: "SELECT 1"}),
	} {
		path := filepath.Join(t.TempDir(), what+".db")
		if err := mustOpen(t, sqlite.Config{Path: path, Migrations: other}).Close(); err != nil {
			t.Fatal(err)
		}
		before := contents(t, path)
		if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, ReadOnly: true}); !errors.Is(err, leger.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
		if contents(t, path) != before {
			t.Errorf("%s: the refused database was changed", what)
		}
	}
}
