package main_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // copies a database as another program does
)

// copiedByAnother makes a consistent copy of a server's database without Leger.
func copiedByAnother(t *testing.T, data string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copy.db")
	db, err := sql.Open("sqlite", filepath.Join(data, "leger.db"))
	if err == nil {
		_, err = db.ExecContext(t.Context(), `VACUUM INTO ?1`, file)
		_ = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// A database that another program has copied, as Litestream does, was put in place by
// hand: machines took the versions that it gave again for those that they had, and
// browsers that had signed out were signed in.
func TestRestoreOfADatabaseAlone(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 3)
	cookie := signInBrowser(t, s)
	want := values(t, c)
	file := copiedByAnother(t, s.data)
	set(t, c, "s1", "written after the copy")
	wantText(t, succeeds(t, "verify", file, "--data", s.data), "a database alone", "3 secrets", "Every record was opened")
	s.kill()

	wantText(t, succeeds(t, "restore", file, "--data", s.data), "Restored into "+s.data, "Every record was opened", "new epoch")
	s = start(t, s.data, nil)
	got := values(t, s.client())
	sameSecrets(t, got, want)
	if got.Installation != want.Installation || got.Epoch <= want.Epoch {
		t.Errorf("epoch %d, want another than %d", got.Epoch, want.Epoch)
	}
	if status := s.getUser(cookie); status != 401 {
		t.Errorf("after the restore the browser gets %d", status)
	}
	s.kill()
	wantText(t, succeeds(t, "audit", "verify", "--data", s.data), "fit")
}

// What is no database of Leger's, or not all of one, replaces nothing.
func TestRefusedDatabaseAlone(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	dir := t.TempDir()
	whole, err := os.ReadFile(copiedByAnother(t, s.data))
	if err != nil {
		t.Fatal(err)
	}
	s.kill()
	before := tree(t, s.data)
	foreign, swapped := filepath.Join(dir, "foreign.db"), filepath.Join(dir, "swapped.db")
	if err := os.WriteFile(swapped, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, statement := range map[string]string{
		foreign: `CREATE TABLE t (x)`,
		swapped: `UPDATE secret_versions SET encrypted_value = (SELECT encrypted_value FROM secret_versions WHERE name = 's1') WHERE name = 's0'`,
	} {
		db, err := sql.Open("sqlite", file)
		if err == nil {
			_, err = db.ExecContext(t.Context(), statement)
			err = errors.Join(err, db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("open.db-wal", []byte("its newest writes"))
	for file, says := range map[string]string{
		foreign:                            "not one of Leger's",
		swapped:                            "cannot be opened",
		write("cut", whole[:len(whole)/2]): "damaged",
		write("begin", whole[:20]):         "damaged",
		write("open.db", whole):            "was not closed",
	} {
		exit := 1
		if says == "was not closed" {
			exit = 2
		}
		fails(t, exit, nil, []string{"restore", file, "--data", s.data}, says, "hint: ")
		sameTree(t, file, tree(t, s.data), before)
	}
}
