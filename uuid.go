package leger

import (
	"crypto/sha1" //nolint:gosec // UUIDv5 is defined with SHA-1 (RFC 9562, 5.5); it names, it does not protect.
	"encoding/hex"
	"io"
)

// namespaceDNS is the namespace of domain names (RFC 9562, 6.6).
func namespaceDNS() uuidBytes {
	return uuidBytes{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
}

type uuidBytes [16]byte

func (u uuidBytes) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (u uuidBytes) withVersion(v byte) uuidBytes {
	u[6] = u[6]&0x0f | v<<4
	u[8] = u[8]&0x3f | 0x80
	return u
}

// uuidV5 names name within a namespace (RFC 9562, 5.5).
func uuidV5(namespace uuidBytes, name string) uuidBytes {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(namespace[:])
	h.Write([]byte(name))
	var u uuidBytes
	copy(u[:], h.Sum(nil))
	return u.withVersion(5)
}

// NewID makes a random id in the form of a UUIDv4 (RFC 9562, 5.4): for secrets,
// releases, sessions and tokens.
func NewID(random io.Reader) (string, error) {
	var u uuidBytes
	if _, err := io.ReadFull(random, u[:]); err != nil {
		return "", Wrap(CodeInternal, err, "read random bytes")
	}
	return u.withVersion(4).String(), nil
}

// ValidID reports whether s is a UUID in its canonical lower-case form.
func ValidID(s string) bool { return isUUID(s) }
