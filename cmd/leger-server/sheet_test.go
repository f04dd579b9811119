package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"leger.run/leger/internal/backup"
)

// sheetOf writes the recovery sheet of a data directory and gives its file.
func sheetOf(t *testing.T, data string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sheet")
	succeeds(t, "recovery-sheet", "--file", file, "--data", data)
	return file
}

// A server whose keys are gone lives again from what was on paper.
func TestKeysComeBackFromTheSheet(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 3)
	want := values(t, c)
	set(t, c, "before", "the rekey")
	succeeds(t, "rekey", "--data", s.data)
	sheet := sheetOf(t, s.data)
	if info, err := os.Stat(sheet); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the sheet: %v, %v", info, err)
	}
	record, err := backup.ReadRecord(s.data)
	if err != nil || len(record.KeysAt) != 2 || !record.BackupAt.IsZero() {
		t.Errorf("the record is %+v, %v", record, err)
	}
	s.kill()
	keys := map[string][]byte{}
	for _, name := range []string{"encryption.key", "encryption.previous", "jwt.secret"} {
		path := filepath.Join(s.data, name)
		if keys[name], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	in := command(t, nil, "restore-keys", "-", "--data", s.data)
	text, err := os.ReadFile(sheet)
	if err != nil {
		t.Fatal(err)
	}
	in.Stdin = bytes.NewReader(bytes.ToLower(text)) // as somebody types it
	if out, err := in.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, key := range keys {
		got, err := os.ReadFile(filepath.Join(s.data, name))
		info, serr := os.Stat(filepath.Join(s.data, name))
		if err != nil || !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(key)) || serr != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is another key now, or open to others: %v, %v", name, err, serr)
		}
	}
	wantText(t, succeeds(t, "restore-keys", sheet, "--data", s.data), "encryption.key is there already, with this key")
	list := values(t, start(t, s.data, nil).client())
	list.Secrets = list.Secrets[1:] // "before" sorts first
	sameSecrets(t, list, want)
}

// The wrong sheet, a typing error or a key that is there already change nothing.
func TestWrongSheetIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 1)
	other, _ := serving(t, 1)
	s.kill()
	other.kill()
	mine, wrong := sheetOf(t, s.data), sheetOf(t, other.data)
	ids := keyIDs(t, s.data)
	key := filepath.Join(s.data, "encryption.key")
	before := tree(t, s.data)
	fails(t, 2, nil, []string{"restore-keys", wrong, "--data", s.data}, "sealed with the key "+ids[0], "hint: look for the sheet")
	sameTree(t, "another server's sheet", tree(t, s.data), before)

	text, err := os.ReadFile(mine)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte("\n   2   ")) + 8
	text[at] = map[bool]byte{true: '1', false: '0'}[text[at] == '0']
	if err := os.WriteFile(mine, text, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 2, nil, []string{"restore-keys", mine, "--data", s.data}, "typing error", "hint: ")
	sameTree(t, "a typing error", tree(t, s.data), before)

	// A key that is there is somebody's only one.
	elsewhere := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, key, filepath.Join(elsewhere, "encryption.key"))
	fails(t, 1, nil, []string{"restore-keys", wrong, "--data", elsewhere}, "holds another key", "hint: ")
	if _, err := os.Stat(filepath.Join(elsewhere, "jwt.secret")); err == nil {
		t.Error("one of the keys was written all the same")
	}
}

// Keys reach a file only when it is asked for by name.
func TestSheetGoesNowhereByAccident(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 1)
	fails(t, 2, nil, []string{"recovery-sheet", "--data", s.data}, "to a terminal, or to a file that you name", "hint: ")
	file := sheetOf(t, s.data)
	fails(t, 1, nil, []string{"recovery-sheet", "--file", file, "--data", s.data}, "exists already")
	fails(t, 1, nil, []string{"recovery-sheet", "--file", file + "2", "--data", t.TempDir()}, "no encryption key")
}

// The page and leger doctor warn while nothing was saved: the server says what was.
func TestServerSaysWhatWasSaved(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 1)
	says := func(what string, made, keysSaved bool) {
		t.Helper()
		u, err := c.Profile(t.Context())
		if err != nil || u.Backup == nil || (u.Backup.MadeAt != nil) != made || u.Backup.KeysSaved != keysSaved {
			t.Errorf("%s: the server says %+v, %v", what, u.Backup, err)
		}
	}
	says("nothing was saved", false, false)
	succeeds(t, "backup", filepath.Join(t.TempDir(), "b"), "--data", s.data)
	says("a backup without keys", true, false)
	sheetOf(t, s.data)
	says("a sheet", true, true)
	succeeds(t, "rekey", "--data", s.data)
	says("a new key", true, false)
	_, recipient := agePair(t)
	succeeds(t, "backup", filepath.Join(t.TempDir(), "b"), "--data", s.data, "--with-keys", "--recipient", recipient)
	says("a backup with keys", true, true)
	s.kill()
	key, err := os.ReadFile(filepath.Join(s.data, "encryption.key"))
	if err != nil {
		t.Fatal(err)
	}
	s = start(t, s.data, []string{"ENCRYPTION_KEY=" + string(bytes.TrimSpace(key))})
	c = s.client()
	says("a key from outside", true, true)
}
