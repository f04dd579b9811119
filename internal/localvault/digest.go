package localvault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"leger.run/leger"
)

// digestSize is how much of the digest is kept, in bytes: 128 bits tell values
// apart for good, and a label stays short.
const digestSize = 16

// digester makes the digests of values. Its key is derived from the store's, so
// that a digest tells nobody without that key anything about a value, not even
// whether it was guessed right.
type digester struct{ key []byte }

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
