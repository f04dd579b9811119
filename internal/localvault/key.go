package localvault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/safefile"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

// Names of the files that Leger keeps in the data directory.
const (
	keyFile      = "key"
	databaseFile = "vault.db"
	lockFile     = "lock"

	// In $CREDENTIALS_DIRECTORY.
	credential       = "legerd-key"
	formerCredential = "legerd-key-previous" //nolint:gosec // G101: a name
)

// Key is the key of the store. Printing it shows nothing of it.
type Key struct{ b [KeySize]byte }

// ParseKey takes 32 bytes in standard base64, with white space around them.
// ErrInvalid else; the error does not repeat the text.
func ParseKey(text []byte) (Key, error) {
	raw, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(text))
	if err != nil || len(raw) != KeySize {
		return Key{}, leger.Invalid("key", "the key is not %d bytes in base64", KeySize).
			WithHint("make one: head -c %d /dev/urandom | base64", KeySize)
	}
	return Key{[KeySize]byte(raw)}, nil
}

func (k Key) String() string { return leger.Redacted }

// GoString gives "[redacted]" to %#v.
func (k Key) GoString() string { return leger.Redacted }

// Format gives "[redacted]" for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(leger.Redacted)) }

// LogValue gives "[redacted]" to slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(leger.Redacted) }

// aead makes the cipher that seals the database's own key (setec's "DEK", an
// XChaCha20-Poly1305 keyset in the file): AES-256-GCM with Key as it is, no
// derivation, a random 96-bit nonce in front of the ciphertext and the 128-bit
// tag behind it, and no tink prefix. It seals once in the life of a key, so
// the nonce cannot repeat; setec binds its own version text as additional data.
func (k Key) aead() (tink.AEAD, error) {
	a, err := subtle.NewAESGCM(k.b[:])
	if err != nil {
		return nil, leger.Wrap(leger.CodeInternal, err, "make the cipher of the store")
	}
	return a, nil
}

// KeySource says where LoadKey may find the key.
type KeySource struct {
	// Lookup reads the environment (os.LookupEnv): LEGERD_KEY, LEGERD_KEY_FILE,
	// CREDENTIALS_DIRECTORY.
	Lookup func(string) (string, bool)
	// Dir is the data directory, where a key is made when there is none.
	Dir string
	// Random is where a new key comes from (crypto/rand.Reader).
	Random io.Reader
}

// LoadKey finds the key of the store, and says where: LEGERD_KEY, the file that
// LEGERD_KEY_FILE names, systemd's credential LEGERD_KEY or legerd-key, or the file key in the
// data directory, which is made (0600) at first start. Files hold the key in
// base64.
//
// ErrInvalid: the key is malformed, or others may read its file.
// ErrNotFound: the store exists and its key does not; no new one is made then,
// because it would not open the store. ErrUnavailable: a file cannot be read or
// made.
func LoadKey(src KeySource) (key Key, from string, err error) {
	found, err := src.find("LEGERD_KEY", credential)
	if err != nil || found.From != "" {
		return given(found, err)
	}
	path := filepath.Join(src.Dir, keyFile)
	key, err = readKey(path, true)
	if errors.Is(err, leger.ErrNotFound) {
		key, err = src.makeKey(path)
	}
	return key, path, err
}

// LoadFormerKey finds the key that the key of LoadKey takes the place of (Config.Former),
// and says where: LEGERD_KEY_PREVIOUS, the file that LEGERD_KEY_PREVIOUS_FILE names, or
// systemd's credential LEGERD_KEY_PREVIOUS or legerd-key-previous. It is nil when none is
// given. Errors are those of LoadKey.
func LoadFormerKey(src KeySource) (key *Key, from string, err error) {
	found, err := src.find("LEGERD_KEY_PREVIOUS", formerCredential)
	if err != nil || found.From == "" {
		return nil, "", err
	}
	k, from, err := given(found, nil)
	return &k, from, err
}

// OwnKey reports whether the key that LoadKey found there is the file in the data
// directory, which is legerd's own to replace.
func (src KeySource) OwnKey(from string) bool {
	found, err := src.find("LEGERD_KEY", credential)
	return err == nil && found.From == "" && from == filepath.Join(src.Dir, keyFile)
}

// given reads a key that was found in the environment.
func given(found environ.Source, err error) (Key, string, error) {
	if err != nil {
		return Key{}, "", err
	}
	if found.File != "" {
		key, err := readKey(found.File, !found.Credential)
		return key, found.File, err
	}
	text, err := found.Read()
	if err != nil {
		return Key{}, "", err
	}
	key, err := ParseKey([]byte(text))
	return key, found.From, err
}

// find looks for a key in the environment. Its credential may have the one name or the
// other.
func (src KeySource) find(name, credential string) (environ.Source, error) {
	lookup := environ.Lookup(src.Lookup)
	found, err := lookup.Find(name)
	if err != nil || found.From != "" || lookup.Get("CREDENTIALS_DIRECTORY") == "" {
		return found, err
	}
	file := filepath.Join(lookup.Get("CREDENTIALS_DIRECTORY"), credential)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return environ.Source{}, nil
	}
	return environ.Source{From: "systemd credential " + credential, File: file, Credential: true}, nil
}

func readKey(path string, guarded bool) (Key, error) {
	f, err := os.Open(path) //nolint:gosec // G304: the user names the file of their own key
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Key{}, leger.Wrap(leger.CodeNotFound, err, "there is no key file")
	case err != nil:
		return Key{}, leger.WrapFile(leger.CodeUnavailable, err, "open the key file")
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return Key{}, leger.WrapFile(leger.CodeUnavailable, err, "look at the key file")
	}
	if guarded {
		if err := safefile.CheckInfo(path, info, safefile.Hides); err != nil {
			return Key{}, err
		}
	}
	// Longer than any key, so that a wrong file is malformed and not cut to fit.
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return Key{}, leger.WrapFile(leger.CodeUnavailable, err, "read the key file")
	}
	key, err := ParseKey(text)
	if err != nil {
		return Key{}, leger.Wrap(leger.CodeInvalid, err, "the key file %s is malformed", path).
			WithHint("a key is %d bytes in base64; make one: head -c %d /dev/urandom | base64", KeySize, KeySize)
	}
	return key, nil
}

// makeKey makes the key file. Of two that do it at once, the second finds the place
// taken and uses the key of the first.
func (src KeySource) makeKey(path string) (Key, error) {
	if _, err := os.Stat(filepath.Join(src.Dir, databaseFile)); err == nil {
		return Key{}, leger.Errorf(leger.CodeNotFound, "the store in %s has no key: %s is gone", src.Dir, path).
			WithHint("bring the key back from a backup; or move %s away and run: leger secrets sync", filepath.Join(src.Dir, databaseFile))
	}
	k, err := newKey(src.Random)
	if err != nil {
		return Key{}, err
	}
	if err := makePrivateDir(src.Dir); err != nil {
		return Key{}, err
	}
	switch err := safefile.Create(path, k.text(), 0o600); {
	case errors.Is(err, fs.ErrExist):
		return readKey(path, true)
	case err != nil:
		return Key{}, leger.WrapFile(leger.CodeUnavailable, err, "write a new key")
	}
	return k, nil
}
