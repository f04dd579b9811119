// Package backup writes and reads the file that keeps a server's data safe, and puts
// such data in the place of a data directory's.
//
// A backup is a tar archive, so that it can be taken apart without Leger: manifest.json
// says what it is, leger.db is the database, keys.json holds the keys if they are in it,
// and sha256 is the digest of every byte before its own content. An encrypted backup is
// the same archive inside age's format (https://age-encryption.org/v1).
//
// Its invariants: keys never go into an archive that is not encrypted; a backup of which
// any byte was changed, added or lost is refused; a data directory is replaced as a
// whole, or not at all, whenever the process is killed.
//
// It knows no SQL and no store, and opens no secret: a database is a file to it.
package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"time"

	"leger.run/leger"
)

// Format is the version of the archive that this package writes.
const Format = 1

// The archive's entries, in their order.
const (
	manifestEntry = "manifest.json"
	databaseEntry = "leger.db"
	keysEntry     = "keys.json"
	digestEntry   = "sha256"
)

// Manifest says what a backup holds.
type Manifest struct {
	Format         int       `json:"format"`
	LegerVersion   string    `json:"leger_version"` // of the program that wrote it
	CreatedAt      time.Time `json:"created_at"`
	Schema         int       `json:"schema"` // number of the newest migration applied
	InstallationID string    `json:"installation_id"`
	Epoch          int64     `json:"epoch"`
	Users          int64     `json:"users"`
	Secrets        int64     `json:"secrets"`         // that are not deleted
	SecretVersions int64     `json:"secret_versions"` // sealed values, all of them
	Releases       int64     `json:"releases"`
	KeyIDs         []string  `json:"key_ids"` // of the keys that seal its secrets
	WithKeys       bool      `json:"with_keys"`
	DatabaseSize   int64     `json:"database_size"` // bytes
	DatabaseSHA256 string    `json:"database_sha256"`
}

// Keys are what opens a backup's secrets and verifies its users' tokens. An empty field
// is a key that is not there.
type Keys struct {
	Encryption leger.Plaintext // the text of ENCRYPTION_KEY
	Previous   leger.Plaintext // the text of ENCRYPTION_KEY_PREVIOUS: any number of keys
	Shared     leger.Plaintext // the text of JWT_SECRET
}

// keysJSON is keys.json.
type keysJSON struct {
	Encryption string `json:"encryption_key"`
	Previous   string `json:"encryption_key_previous,omitempty"`
	Shared     string `json:"jwt_secret,omitempty"`
}

func (k *Keys) encode() ([]byte, error) {
	return json.Marshal(keysJSON{
		Encryption: string(k.Encryption.Reveal()), Previous: string(k.Previous.Reveal()), Shared: string(k.Shared.Reveal()),
	})
}

func decodeKeys(b []byte) (*Keys, error) {
	var in keysJSON
	if err := json.Unmarshal(b, &in); err != nil || in.Encryption == "" {
		return nil, damaged("its keys cannot be read")
	}
	return &Keys{
		Encryption: leger.NewPlaintext([]byte(in.Encryption)), Previous: leger.NewPlaintext([]byte(in.Previous)),
		Shared: leger.NewPlaintext([]byte(in.Shared)),
	}, nil
}

// Write writes a backup: m with its format, size and digest filled in, the file database,
// and keys unless they are nil. Only a caller that encrypts what is written may give
// keys. The file must not change meanwhile. ErrUnavailable, ErrDisk.
func Write(to io.Writer, m Manifest, database string, keys *Keys) error {
	f, err := os.Open(database) //nolint:gosec // G304: the caller's own copy
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "read the copy of the database")
	}
	defer func() { _ = f.Close() }()
	digest := sha256.New()
	if m.DatabaseSize, err = io.Copy(digest, f); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "read the copy of the database")
	}
	m.Format, m.WithKeys, m.DatabaseSHA256 = Format, keys != nil, hex.EncodeToString(digest.Sum(nil))
	if err := writeArchive(to, m, f, keys); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "write the backup")
	}
	return nil
}

func writeArchive(to io.Writer, m Manifest, database io.Reader, keys *Keys) error {
	all := sha256.New()
	a := archive{tar: tar.NewWriter(io.MultiWriter(to, all)), at: m.CreatedAt}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := a.add(manifestEntry, manifest); err != nil {
		return err
	}
	if err := a.header(databaseEntry, m.DatabaseSize); err != nil {
		return err
	}
	if _, err := io.Copy(a.tar, database); err != nil {
		return err
	}
	if keys != nil {
		content, err := keys.encode()
		if err != nil {
			return err
		}
		defer clear(content)
		if err := a.add(keysEntry, content); err != nil {
			return err
		}
	}
	if err := a.header(digestEntry, digestSize); err != nil {
		return err
	}
	if _, err := a.tar.Write(digestContent(all.Sum(nil))); err != nil {
		return err
	}
	return a.tar.Close()
}

// archive writes entries that tell nothing of the machine they are written on.
type archive struct {
	tar *tar.Writer
	at  time.Time
}

// header begins an entry, after the padding of the one before it.
func (a archive) header(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.at.UTC().Truncate(time.Second),
	})
}

func (a archive) add(name string, content []byte) error {
	if err := a.header(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// digestSize is the length of digestContent.
const digestSize = 2*sha256.Size + 1

func digestContent(sum []byte) []byte { return []byte(hex.EncodeToString(sum) + "\n") }

// damaged is the error of a backup that is not what was written.
func damaged(format string, args ...any) *leger.Error {
	return leger.Errorf(leger.CodeInternal, "the backup is damaged: "+format, args...).
		WithHint("make another backup, or copy this one again from where it is kept")
}
