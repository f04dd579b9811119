package localvault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// sealed is the store's file as setec writes it (setec's db/kv.go). The key of the store
// seals DEK, the data key, and that seals DB, the secrets.
type sealed struct {
	Version uint32
	DEK, DB []byte
}

// What setec binds the two seals to, in its format 1.
const (
	formatVersion = 1
	dekContext    = "setec DEK v1"
	dbContext     = "setec database v1"
)

// readSealed tells a file that cannot be a store from one that the key does not open:
// setec's errors do not. fs.ErrNotExist when there is none.
func readSealed(path string) (s sealed, err error) {
	data, err := os.ReadFile(path) //nolint:gosec // G304: the data directory
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, err
	case err != nil:
		return s, leger.WrapFile(leger.CodeUnavailable, err, "read the store")
	}
	if err := guarded(path); err != nil {
		return s, err
	}
	damaged := func(cause error) error {
		return leger.Wrap(leger.CodeInternal, cause, "the store %s is damaged", path).
			WithHint("bring it back from a backup; or move it away, restart legerd and run: leger secrets sync")
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, damaged(err)
	}
	if s.Version > formatVersion {
		return s, leger.Errorf(leger.CodeInvalid, "the store %s was made by a newer Leger (its format is %d)", path, s.Version).
			WithHint("install the newest legerd")
	}
	if s.Version == 0 || len(s.DEK) == 0 || len(s.DB) == 0 {
		return s, damaged(errors.New("parts are missing"))
	}
	return s, nil
}

// dataKey opens the data key.
func (s sealed) dataKey(k Key) (*keyset.Handle, error) {
	cipher, err := k.aead()
	if err != nil {
		return nil, err
	}
	return keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(s.DEK)), cipher, []byte(dekContext))
}

func (s sealed) opensWith(k Key) bool {
	_, err := s.dataKey(k)
	return err == nil
}

// open gives what is sealed, in clear.
func (s sealed) open(k Key) ([]byte, error) {
	dek, err := s.dataKey(k)
	if err != nil {
		return nil, err
	}
	cipher, err := aead.New(dek)
	if err != nil {
		return nil, err
	}
	return cipher.Decrypt(s.DB, []byte(dbContext))
}

// seal seals with k and a new data key.
func seal(k Key, text []byte) (s sealed, err error) {
	outer, err := k.aead()
	if err != nil {
		return s, err
	}
	dek, err := keyset.NewHandle(aead.XChaCha20Poly1305KeyTemplate())
	if err != nil {
		return s, err
	}
	inner, err := aead.New(dek)
	if err != nil {
		return s, err
	}
	s.Version = formatVersion
	if s.DB, err = inner.Encrypt(text, []byte(dbContext)); err != nil {
		return s, err
	}
	var wrapped bytes.Buffer
	err = dek.WriteWithAssociatedData(keyset.NewBinaryWriter(&wrapped), outer, []byte(dekContext))
	s.DEK = wrapped.Bytes()
	return s, err
}

// reseal replaces the store's file by one that only the key to opens. The data key is a
// new one: whoever had the former key may have the former data key, which would open every
// later state of the file. What was written is opened again before it takes the place of
// the file, and is on the disk when reseal gives nil.
func reseal(path string, from, to Key) error {
	former, err := readSealed(path)
	if err != nil {
		return err
	}
	text, err := former.open(from)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "open the store %s", path)
	}
	defer clear(text)
	anew, err := seal(to, text)
	if err == nil {
		err = holds(anew, to, text)
	}
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "seal the store anew")
	}
	file, err := json.Marshal(anew)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode the store")
	}
	if err := safefile.Write(path, file, 0o600); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "write the store")
	}
	return nil
}

func holds(s sealed, k Key, text []byte) error {
	again, err := s.open(k)
	if err != nil {
		return fmt.Errorf("open it again: %w", err)
	}
	defer clear(again)
	if !bytes.Equal(again, text) {
		return errors.New("it does not hold what it should")
	}
	return nil
}
