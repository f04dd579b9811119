package localvault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"

	"github.com/tailscale/setec/db"

	"leger.run/leger"
)

// digestSize is how much of the digest is kept, in bytes: 128 bits tell values
// apart for good, and a label stays short.
const digestSize = 16

// digestKeyName is the secret of setec's that holds the key of the digests, once the key of
// the store has been changed.
const digestKeyName = "leger-digests/key"

// digester makes the digests of values. Its key is derived from the first key of the
// store, so that a digest tells nobody without that key anything about a value, not even
// whether it was guessed right.
//
// It outlives that key, in the store: digests are labels of Podman's secrets, and a new
// digest would mean to make every one of them anew. Podman would then call each of them
// newer than the units that run with it.
type digester struct{ key []byte }

// digesterOf gives the digester of a store that this key opens.
func digesterOf(d *db.DB, k Key) (digester, error) {
	kept, err := d.Get(self(), digestKeyName)
	switch {
	case errors.Is(err, db.ErrNotFound):
		return newDigester(k)
	case err != nil || len(kept.Value) != sha256.Size:
		return digester{}, leger.Wrap(leger.CodeInternal, err, "read the key of the digests")
	}
	return digester{kept.Value}, nil
}

// keepDigestKey stores the key of the digests, before the key that it was derived from
// goes.
func keepDigestKey(d *db.DB, digests digester) error {
	if _, err := d.Info(self(), digestKeyName); !errors.Is(err, db.ErrNotFound) {
		return err
	}
	return d.CreateVersion(self(), digestKeyName, 1, digests.key)
}

func newDigester(k Key) (digester, error) {
	derived, err := hkdf.Expand(sha256.New, k.b[:], "leger value digest v1", sha256.Size)
	if err != nil {
		return digester{}, leger.Wrap(leger.CodeInternal, err, "derive the key of the digests")
	}
	return digester{derived}, nil
}

// of is the digest of a user's secret with a value, in hexadecimal. The names go
// into it, each ended by a NUL byte, which neither can hold: two secrets of one
// value have different digests.
func (d digester) of(user leger.UserID, name leger.SecretName, value []byte) string {
	mac := hmac.New(sha256.New, d.key)
	write(mac, user.String(), "\x00", name.String(), "\x00")
	_, _ = mac.Write(value) // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil)[:digestSize])
}

func write(h hash.Hash, parts ...string) {
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
	}
}
