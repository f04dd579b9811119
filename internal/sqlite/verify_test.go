package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
)

// What no request can make is damage: the list is refused, and so is what Verify
// and Ping say of the database. Each was answered with a list that lacked a secret
// (or, the last, with the value of before), which to a machine is a deletion.
func TestContradictionsAreDamage(t *testing.T) {
	t.Parallel()
	for about, change := range map[string]string{
		"a name of another letter":      `UPDATE secrets SET name = 'kez' WHERE name = 'key'`,
		"a version's name of another":   `UPDATE secret_versions SET name = 'kez' WHERE name = 'key' AND version = 2`,
		"a row of the ledger lost":      `DELETE FROM secrets WHERE name = 'key'`,
		"a row of the versions lost":    `DELETE FROM secret_versions WHERE name = 'key' AND version = 2`,
		"all versions lost":             `DELETE FROM secret_versions`,
		"a secret that looks deleted":   `UPDATE secrets SET deleted_at = 0 WHERE name = 'key'`,
		"a secret of another account":   `UPDATE secrets SET user_uuid = 'x' WHERE name = 'key'`,
		"both rows of one secret lost":  `DELETE FROM secrets WHERE name = 'key'; DELETE FROM secret_versions WHERE name = 'key'`,
		"a version set back":            `UPDATE secrets SET version = 1 WHERE name = 'key'`,
		"a count that is wrong":         `UPDATE users SET secret_count = 1`,
		"a value of another version":    `UPDATE secret_versions SET nonce = 'AAAAAAAAAAAAAAAA' WHERE name = 'key' AND version = 2`,
		"a ledger that names no values": `UPDATE secrets SET value_id = ''`,
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "leger.db")
			s := open(t, sqlite.Config{Path: path})
			user := account(t, s)
			mustPut(t, s, user, "key", 0, "one")
			mustPut(t, s, user, "key", 1, "two")
			mustPut(t, s, user, "other", 0, "three")
			if err := errors.Join(s.Verify(t.Context()), s.Ping(t.Context())); err != nil {
				t.Fatal(err)
			}
			execSQL(t, path, `PRAGMA foreign_keys = OFF; `+change)
			sealed, err := s.SealedSecrets(t.Context(), user, nil)
			if !errors.Is(err, leger.ErrInternal) {
				t.Errorf("with values: %d secrets, %v", len(sealed), err)
			}
			var damage *leger.Error
			if err := s.Verify(t.Context()); !errors.Is(err, leger.ErrInternal) || !errors.As(err, &damage) {
				t.Errorf("Verify: %v", err)
			} else if !strings.Contains(damage.Hint, "leger-server restore FILE") {
				t.Errorf("the hint names no command: %s", damage.Hint) // it said: put back the newest backup
			}
			if err := s.Ping(t.Context()); !errors.Is(err, leger.ErrInternal) {
				t.Errorf("Ping: %v", err)
			}
			one, err := s.SealedSecret(t.Context(), user, name(t, "key"))
			if errors.Is(err, leger.ErrNotFound) && about != "both rows of one secret lost" {
				t.Errorf("one secret: version %d, %v", one.Version, err)
			}
		})
	}
}

// A secret whose row was lost is not made anew over its kept versions: its numbers
// would begin again.
func TestNothingIsAddedToDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	s := open(t, sqlite.Config{Path: path})
	user := account(t, s)
	for v := range leger.Version(leger.KeptSecretVersions + 2) {
		mustPut(t, s, user, "key", v, "x")
	}
	execSQL(t, path, `DELETE FROM secrets`)
	if err := put(t, s, user, "key", 0, "x"); !errors.Is(err, leger.ErrInternal) {
		t.Errorf("a write over a lost row: %v", err)
	}
	if err := s.DeleteSecret(t.Context(), user, name(t, "key"), 0, leger.AuditEvent{}); !errors.Is(err, leger.ErrInternal) {
		t.Errorf("a deletion of a lost row: %v", err)
	}
}

// After a backup is put in the database's place version numbers are given again, to
// other values: whoever remembers the epoch knows. A database that was only moved is
// the same as before.
func TestCopyPutBackIsANewEpoch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := sqlite.Config{Path: filepath.Join(dir, "leger.db"), Now: func() time.Time { return time.Unix(1_900_000_000, 0) }}
	s := mustOpen(t, cfg)
	first := installation(t, s)
	backup := filepath.Join(dir, "backup.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	reopen := func() leger.Installation {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, cfg)
		return installation(t, s)
	}
	if again := reopen(); again != first || first.Epoch != 1 {
		t.Errorf("opened again: %+v, before: %+v", again, first)
	}
	seen := map[int64]bool{first.Epoch: true}
	for i := range 2 { // the same backup twice is two epochs
		content, err := os.ReadFile(backup)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cfg.Path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Now = func() time.Time { return time.Unix(1_900_000_001+int64(i), 0) }
		s = mustOpen(t, cfg)
		restored := installation(t, s)
		if restored.ID != first.ID || restored.Epoch <= first.Epoch || seen[restored.Epoch] {
			t.Errorf("restored: %+v, before: %+v, seen: %v", restored, first, seen)
		}
		seen[restored.Epoch] = true
		if again := reopen(); again != restored {
			t.Errorf("opened again: %+v, before: %+v", again, restored)
		}
	}
	if err := s.RaiseEpoch(t.Context(), time.Unix(1, 0)); err != nil { // a clock that is behind
		t.Fatal(err)
	}
	if raised := installation(t, s); seen[raised.Epoch] || raised.Epoch <= first.Epoch {
		t.Errorf("raised by hand: %+v", raised)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func installation(t *testing.T, s *sqlite.Store) leger.Installation {
	t.Helper()
	in, err := s.Installation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in
}
