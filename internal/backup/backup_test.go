package backup_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
)

var when = time.Date(2026, 11, 27, 19, 0, 0, 0, time.UTC)

// content stands for a database: the archive does not look into it.
var content = bytes.Repeat([]byte("SQLite format 3\x00 pages "), 8)

func someKeys() *backup.Keys {
	return &backup.Keys{
		Encryption: leger.NewPlaintext([]byte("canary-encryption-key")), Previous: leger.NewPlaintext([]byte("canary-previous-key")),
		Shared: leger.NewPlaintext([]byte("canary-shared-secret")),
	}
}

// archived is a backup of content.
func archived(t testing.TB, keys *backup.Keys) []byte {
	t.Helper()
	database := filepath.Join(t.TempDir(), "leger.db")
	if err := os.WriteFile(database, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := backup.Write(&b, backup.Manifest{LegerVersion: "1", CreatedAt: when, Epoch: 7}, database, keys); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encrypted(t testing.TB, archive []byte, to age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := backup.Encrypt(&b, []age.Recipient{to})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpack reads the backup and gives what it was, with the database.
func unpack(t testing.TB, file []byte, u backup.Unlock) (found backup.Unpacked, database []byte, err error) {
	t.Helper()
	archive, _, err := backup.Decrypt(bytes.NewReader(file), u)
	if err != nil {
		return found, nil, err
	}
	path := filepath.Join(t.TempDir(), "leger.db")
	if found, err = backup.Unpack(archive, path); err != nil {
		return found, nil, err
	}
	database, err = os.ReadFile(path)
	return found, database, err
}

func noPassphrase() backup.Unlock {
	return backup.Unlock{Passphrase: func() (leger.Plaintext, error) {
		return leger.Plaintext{}, errors.New("asked for a passphrase")
	}}
}

func withPassphrase(p string) backup.Unlock {
	return backup.Unlock{Passphrase: func() (leger.Plaintext, error) { return leger.NewPlaintext([]byte(p)), nil }}
}

func identity(t testing.TB) (*age.X25519Identity, backup.Unlock) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	u := noPassphrase()
	u.Identities = []leger.Plaintext{leger.NewPlaintext([]byte("# a comment\n" + id.String() + "\n"))}
	return id, u
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	found, database, err := unpack(t, archived(t, nil), noPassphrase())
	if err != nil || !bytes.Equal(database, content) || found.Keys != nil {
		t.Fatalf("%+v, %v", found, err)
	}
	if m := found.Manifest; m.Format != backup.Format || m.Epoch != 7 || !m.CreatedAt.Equal(when) || m.WithKeys {
		t.Errorf("the manifest is %+v", m)
	}

	id, unlock := identity(t)
	found, database, err = unpack(t, encrypted(t, archived(t, someKeys()), id.Recipient()), unlock)
	if err != nil || !bytes.Equal(database, content) {
		t.Fatal(err)
	}
	if k := found.Keys; k == nil || !bytes.Equal(k.Encryption.Reveal(), []byte("canary-encryption-key")) ||
		!bytes.Equal(k.Previous.Reveal(), []byte("canary-previous-key")) || !bytes.Equal(k.Shared.Reveal(), []byte("canary-shared-secret")) {
		t.Error("the keys are not those that were written")
	}
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	r, err := backup.PassphraseRecipient(leger.NewPlaintext([]byte("correct horse")))
	if err != nil {
		t.Fatal(err)
	}
	file := encrypted(t, archived(t, someKeys()), r)
	if _, database, err := unpack(t, file, withPassphrase("correct horse")); err != nil || !bytes.Equal(database, content) {
		t.Error(err)
	}
	if _, _, err := unpack(t, file, withPassphrase("wrong")); !errors.Is(err, leger.ErrForbidden) {
		t.Errorf("a wrong passphrase = %v", err)
	}
	if _, err := backup.PassphraseRecipient(leger.NewPlaintext(nil)); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("an empty passphrase = %v", err)
	}
}

// Whoever has another key is told so, and is not asked for a passphrase that the backup
// has no use for.
func TestAnotherIdentityIsRefused(t *testing.T) {
	t.Parallel()
	id, _ := identity(t)
	_, other := identity(t)
	file := encrypted(t, archived(t, nil), id.Recipient())
	for what, u := range map[string]backup.Unlock{"another": other, "none": noPassphrase()} {
		if _, _, err := unpack(t, file, u); !errors.Is(err, leger.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	broken := noPassphrase()
	broken.Identities = []leger.Plaintext{leger.NewPlaintext([]byte("AGE-SECRET-KEY-1NOTONE"))}
	_, _, err := unpack(t, file, broken)
	if !errors.Is(err, leger.ErrInvalid) || bytes.Contains([]byte(err.Error()), []byte("NOTONE")) {
		t.Errorf("a damaged identity = %v", err)
	}
}

// damages gives the file with one bit of every byte flipped in turn, cut at every 16th
// byte, and with a byte added.
func damages(file []byte, each func(what string, at int, damaged []byte)) {
	for at := range file {
		flipped := bytes.Clone(file)
		flipped[at] ^= 1 << (at % 8)
		each("flipped", at, flipped)
		if at%16 == 0 {
			each("cut", at, file[:at])
		}
	}
	each("longer", len(file), append(bytes.Clone(file), 0))
}

// A backup of which one byte differs is not restored, wherever the byte is: also in
// what tar does not look at, such as padding and times.
func TestEveryDamageIsRefused(t *testing.T) {
	t.Parallel()
	damages(archived(t, nil), func(what string, at int, damaged []byte) {
		if _, _, err := unpack(t, damaged, noPassphrase()); leger.CodeOf(err) != leger.CodeInternal &&
			leger.CodeOf(err) != leger.CodeInvalid && leger.CodeOf(err) != leger.CodeConflict {
			t.Errorf("%s at %d: %v", what, at, err)
		}
	})
}

func TestEveryDamageOfAnEncryptedBackupIsRefused(t *testing.T) {
	t.Parallel()
	id, unlock := identity(t)
	damages(encrypted(t, archived(t, someKeys()), id.Recipient()), func(what string, at int, damaged []byte) {
		if _, _, err := unpack(t, damaged, unlock); err == nil {
			t.Errorf("%s at %d was read", what, at)
		}
	})
}

// A backup from a newer Leger may hold what this one would lose.
func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	file := bytes.Replace(archived(t, nil), []byte(`"format": 1`), []byte(`"format": 2`), 1)
	if _, _, err := unpack(t, file, noPassphrase()); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("format 2 = %v", err)
	}
	for what, file := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "a database": content} {
		if _, _, err := unpack(t, file, noPassphrase()); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%s = %v", what, err)
		}
	}
}

// The file is written by a disk that may be full, and by a pipe that may end.
func TestWriteErrorsAreTold(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "leger.db")
	if err := os.WriteFile(database, content, 0o600); err != nil {
		t.Fatal(err)
	}
	whole := len(archived(t, nil))
	for room := 0; room < whole; room += 100 {
		if err := backup.Write(&short{room}, backup.Manifest{CreatedAt: when}, database, nil); err == nil {
			t.Errorf("a backup of %d bytes went into %d", whole, room)
		}
	}
}

// short is a writer with little room.
type short struct{ room int }

func (s *short) Write(p []byte) (int, error) {
	if len(p) > s.room {
		return 0, io.ErrShortWrite
	}
	s.room -= len(p)
	return len(p), nil
}

// Whatever is read, what is accepted holds the database that its manifest names.
func FuzzUnpack(f *testing.F) {
	f.Add(archived(f, nil))
	f.Add(archived(f, someKeys()))
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		found, database, err := unpack(t, file, withPassphrase("x"))
		if err == nil && found.Manifest.DatabaseSize != int64(len(database)) {
			t.Errorf("%d bytes, and the manifest says %d", len(database), found.Manifest.DatabaseSize)
		}
	})
}
