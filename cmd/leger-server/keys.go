package main

import (
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
)

// Names of the key files in the data directory.
const (
	encryptionKeyFile = "encryption.key"
	previousKeysFile  = "encryption.previous"
	sharedSecretFile  = "jwt.secret"
	databaseFile      = "leger.db"
)

// keys are what the server must never lose or show.
type keys struct {
	ring   *vault.KeyRing
	shared token.Secret
	made   []string // files made just now
}

// keys reads the keys, or makes them at the first start. A database without its
// encryption key is refused: a new key would not open it.
func (p program) keys(data string) (keys, error) {
	var k keys
	if err := safefile.MakeDir(data, 0o700); err != nil {
		return k, leger.WrapFile(leger.CodeInvalid, err, "make the data directory").WithHint("name another one with --data DIR")
	}
	// What is given is checked before anything is made: keys that a failed first start
	// left would look like those of a lost database.
	if err := p.checkGivenSecret(); err != nil {
		return k, err
	}
	encryption, made, err := p.key("ENCRYPTION_KEY", data, encryptionKeyFile, func() (string, error) {
		if _, err := os.Stat(filepath.Join(data, databaseFile)); err == nil {
			return "", leger.Errorf(leger.CodeInvalid, "%s holds a database but not its key %s: a new key would not open it", data, encryptionKeyFile).
				WithHint("put the key file back (from a recovery sheet: leger-server restore-keys FILE), or set ENCRYPTION_KEY or ENCRYPTION_KEY_FILE")
		}
		return vault.NewKey(p.random)
	})
	if err != nil {
		return k, err
	}
	k.made = append(k.made, made...)
	previous, err := p.previousKeys(data)
	if err != nil {
		return k, err
	}
	if k.ring, err = vault.ParseKeyRing(encryption, previous); err != nil {
		return k, err
	}
	secret, made, err := p.key("JWT_SECRET", data, sharedSecretFile, func() (string, error) { return newSharedSecret(p.random) })
	if err != nil {
		return k, err
	}
	k.made = append(k.made, made...)
	k.shared, err = token.ParseSecret([]byte(secret))
	return k, err
}

// existingKeys gives the keys of a server that has been started before, and the key ring
// that they make. ErrNotFound when there is no encryption key.
func (p program) existingKeys(data string) (k backup.Keys, ring *vault.KeyRing, err error) {
	encryption, _, err := p.findKey("ENCRYPTION_KEY", data, encryptionKeyFile)
	if err != nil {
		return k, nil, err
	}
	if encryption == "" {
		return k, nil, leger.Errorf(leger.CodeNotFound, "there is no encryption key in %s", data).
			WithHint("name the server's data directory with --data, or set ENCRYPTION_KEY_FILE")
	}
	previous, err := p.previousKeys(data)
	if err != nil {
		return k, nil, err
	}
	shared, _, err := p.findKey("JWT_SECRET", data, sharedSecretFile)
	if err != nil {
		return k, nil, err
	}
	ring, err = vault.ParseKeyRing(encryption, previous)
	return backup.Keys{
		Encryption: leger.NewPlaintext([]byte(encryption)), Previous: leger.NewPlaintext([]byte(previous)),
		Shared: leger.NewPlaintext([]byte(shared)),
	}, ring, err
}

// previousKeys gives the former keys of the settings and of the data directory together:
// a key that was named in one of them opens records until somebody takes it out.
func (p program) previousKeys(data string) (string, error) {
	given, err := p.lookupSecret("ENCRYPTION_KEY_PREVIOUS")
	if err != nil {
		return "", err
	}
	kept, err := readKeyFile(filepath.Join(data, previousKeysFile))
	return strings.Join(append(splitKeys(given), splitKeys(kept)...), ","), err
}

// splitKeys splits what ENCRYPTION_KEY_PREVIOUS holds, as vault.ParseKeyRing does.
func splitKeys(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

func (p program) checkGivenSecret() error {
	given, err := p.lookupSecret("JWT_SECRET")
	if err == nil && given != "" {
		_, err = token.ParseSecret([]byte(given))
	}
	return err
}

// sharedSecret reads the shared secret of a server that has been started before.
func (p program) sharedSecret(data string) (token.Secret, error) {
	text, _, err := p.key("JWT_SECRET", data, sharedSecretFile, func() (string, error) {
		return "", leger.Errorf(leger.CodeNotFound, "there is no shared secret in %s", data).
			WithHint("start leger-server once with this --data, or set JWT_SECRET_FILE")
	})
	if err != nil {
		return token.Secret{}, err
	}
	return token.ParseSecret([]byte(text))
}

// key gives a key from the settings, else from its file, else makes it there.
func (p program) key(name, data, file string, create func() (string, error)) (text string, made []string, err error) {
	text, file, err = p.findKey(name, data, file)
	if err != nil || text != "" {
		return text, nil, err
	}
	if text, err = create(); err != nil {
		return "", nil, err
	}
	// Never in place of one: of two first starts at once only one may keep its key.
	if err := safefile.Create(file, []byte(text+"\n"), 0o600); err != nil {
		return "", nil, leger.WrapFile(leger.CodeUnavailable, err, "write %s", file)
	}
	return text, []string{file}, nil
}

// findKey gives a key from the settings, else from its file in the data directory, whose
// path it gives too; "" when it is in neither.
func (p program) findKey(name, data, file string) (text, path string, err error) {
	path = filepath.Join(data, file)
	text, err = p.lookupSecret(name)
	if err != nil || text != "" {
		return text, path, err
	}
	text, err = readKeyFile(path)
	return text, path, err
}

// readKeyFile gives what a key's file holds, "" when it is not there.
func readKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", leger.WrapFile(leger.CodeInvalid, err, "look for %s", path)
	}
	if err := safefile.CheckInfo(path, info, safefile.Hides); err != nil {
		return "", err
	}
	text, err := environ.ReadFile(path)
	if err != nil {
		return "", leger.WrapFile(leger.CodeInvalid, err, "read %s", path)
	}
	if text == "" {
		return "", leger.Errorf(leger.CodeInvalid, "%s is empty", path).WithHint("remove the empty file, and put the key back: a copy of the file, or leger-server restore-keys FILE from a recovery sheet")
	}
	return text, nil
}

// backupState says what was saved of the data directory. A key that is set outside lies
// elsewhere than beside the database.
func (p program) backupState(data string, v *vault.Vault) (leger.BackupState, error) {
	record, err := backup.ReadRecord(data)
	if err != nil {
		return leger.BackupState{}, err
	}
	given, err := p.lookupSecret(encryptionName)
	_, saved := record.KeysAt[v.KeyID()]
	return leger.BackupState{MadeAt: record.BackupAt, KeysSaved: saved || given != ""}, err
}

func newSharedSecret(random io.Reader) (string, error) {
	b := make([]byte, 48)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "read random bytes")
	}
	return base64.StdEncoding.EncodeToString(b), nil
}
