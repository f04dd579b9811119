package backup_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"leger.run/leger/internal/backup"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

// decided is a data directory with a restore that was decided and not begun.
func decided(t *testing.T) (data, aside string) {
	t.Helper()
	data = t.TempDir()
	for _, name := range []string{"leger.db", "leger.db-wal", "encryption.key", "encryption.previous", "other"} {
		put(t, filepath.Join(data, name), "old "+name)
	}
	s, err := backup.Stage(data)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.Path("leger.db"), "new leger.db")
	put(t, s.Path("encryption.key"), "new encryption.key")
	name, err := s.Commit(when, []string{"leger.db", "encryption.key"}, []string{"leger.db-wal", "leger.db-shm", "encryption.previous"})
	if err != nil {
		t.Fatal(err)
	}
	return data, filepath.Join(data, name)
}

func complete(t *testing.T, data string) (aside string) {
	t.Helper()
	aside, err := backup.Complete(data)
	if err != nil {
		t.Fatal(err)
	}
	return aside
}

func isRestored(t *testing.T, data, aside string) {
	t.Helper()
	holds(t, filepath.Join(data, "leger.db"), "new leger.db")
	holds(t, filepath.Join(data, "encryption.key"), "new encryption.key")
	holds(t, filepath.Join(data, "other"), "old other")
	for _, name := range []string{"leger.db", "leger.db-wal", "encryption.key", "encryption.previous"} {
		holds(t, filepath.Join(aside, name), "old "+name)
	}
	names := []string{}
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{filepath.Base(aside), "encryption.key", "leger.db", "other"}; !slices.Equal(names, want) {
		t.Errorf("the data directory holds %q, want %q", names, want)
	}
}

func TestCompleteReplacesAndKeeps(t *testing.T) {
	t.Parallel()
	data, aside := decided(t)
	if !backup.Ready(data) {
		t.Error("a decided restore is not ready")
	}
	if got := complete(t, data); got != aside {
		t.Errorf("the former files are in %q, want %q", got, aside)
	}
	isRestored(t, data, aside)
	if got := complete(t, data); got != "" || backup.Ready(data) {
		t.Errorf("there is another restore: %q", got)
	}
}

// A kill can fall between any two renames. Each state that it can leave is made here by
// doing the first n of them, and completed.
func TestCompleteGoesOnAfterAnyStep(t *testing.T) {
	t.Parallel()
	type move struct{ from, to string }
	steps := func(data, aside string) []move {
		ready := filepath.Join(data, "restore.ready")
		var list []move
		for _, name := range []string{"leger.db-wal", "encryption.previous", "leger.db", "encryption.key"} {
			list = append(list, move{filepath.Join(data, name), filepath.Join(aside, name)})
			if name == "leger.db" || name == "encryption.key" {
				list = append(list, move{filepath.Join(ready, name), filepath.Join(data, name)})
			}
		}
		return append(list, move{from: filepath.Join(ready, "restore.json")})
	}
	for n := range 8 {
		data, aside := decided(t)
		if err := os.Mkdir(aside, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, m := range steps(data, aside)[:n] {
			var err error
			if m.to == "" {
				err = os.Remove(m.from)
			} else {
				err = os.Rename(m.from, m.to)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		complete(t, data)
		isRestored(t, data, aside)
	}
}

// Before the decision nothing has changed, and the next restore begins anew.
func TestAbandonedRestoreChangesNothing(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	put(t, filepath.Join(data, "leger.db"), "old leger.db")
	for range 2 {
		s, err := backup.Stage(data)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s.Path("leger.db"), "half a")
	}
	if backup.Ready(data) || complete(t, data) != "" {
		t.Error("an undecided restore was completed")
	}
	if err := backup.Abandon(data); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(data, "leger.db"), "old leger.db")
	if _, err := os.Stat(filepath.Join(data, "restore.partial")); !os.IsNotExist(err) {
		t.Errorf("restore.partial is there: %v", err)
	}
}

// Two restores within one second keep both former states.
func TestAsideIsNeverReused(t *testing.T) {
	t.Parallel()
	data, aside := decided(t)
	complete(t, data)
	s, err := backup.Stage(data)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.Path("leger.db"), "newer")
	if _, err := s.Commit(when, []string{"leger.db"}, nil); err != nil {
		t.Fatal(err)
	}
	if again := complete(t, data); again == aside {
		t.Errorf("both are in %s", aside)
	}
	holds(t, filepath.Join(aside, "leger.db"), "old leger.db")
}

func TestRecord(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if r, err := backup.ReadRecord(data); err != nil || !r.BackupAt.IsZero() {
		t.Errorf("no record = %+v, %v", r, err)
	}
	if err := backup.NoteKeys(data, when, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if err := backup.NoteBackup(data, when, nil); err != nil {
		t.Fatal(err)
	}
	r, err := backup.ReadRecord(data)
	if err != nil || !r.BackupAt.Equal(when) || !r.KeysAt["a"].Equal(when) {
		t.Errorf("record = %+v, %v", r, err)
	}
	put(t, filepath.Join(data, "backups.json"), "{")
	if _, err := backup.ReadRecord(data); err == nil {
		t.Error("a damaged record was read")
	}
	if err := backup.NoteBackup(data, when, nil); err != nil {
		t.Errorf("a damaged record stops backups: %v", err)
	}
}
