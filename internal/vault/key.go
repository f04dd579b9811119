package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
)

// KeySize is the size of ENCRYPTION_KEY in bytes: AES-256.
const KeySize = 32

// EncryptionVersion marks how a record is sealed. 1 is AES-256-GCM with a 96-bit
// random nonce and the additional data of AdditionalData.
const EncryptionVersion = 1

// key is one AES-256 key, ready to use. Its id is its KeyID.
type key struct {
	id   string
	aead cipher.AEAD
}

// KeyRing holds the key that seals and the keys that still open. Safe for
// concurrent use; prints nothing of the keys.
type KeyRing struct {
	current key
	byID    map[string]key
}

func (k *KeyRing) String() string { return "key ring, current " + k.current.id }

// CurrentID is the id of the key that seals.
func (k *KeyRing) CurrentID() string { return k.current.id }

// IDs gives the ids of all keys, in order.
func (k *KeyRing) IDs() []string { return slices.Sorted(maps.Keys(k.byID)) }

// ParseKeyRing reads ENCRYPTION_KEY (base64 of 32 bytes) and
// ENCRYPTION_KEY_PREVIOUS (any number of them, separated by commas or white
// space; may be empty). Anything else is CodeInvalid with the variable's name as
// field, and never shows the text.
func ParseKeyRing(current, previous string) (*KeyRing, error) {
	cur, err := parseKey("ENCRYPTION_KEY", current)
	if err != nil {
		return nil, err
	}
	ring := &KeyRing{current: cur, byID: map[string]key{cur.id: cur}}
	for _, text := range strings.FieldsFunc(previous, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		old, err := parseKey("ENCRYPTION_KEY_PREVIOUS", text)
		if err != nil {
			return nil, err
		}
		ring.byID[old.id] = old
	}
	return ring, nil
}

// NewKey makes the text of a new ENCRYPTION_KEY.
func NewKey(random io.Reader) (string, error) {
	b := make([]byte, KeySize)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "read random bytes")
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

func parseKey(field, text string) (key, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != KeySize {
		return key{}, leger.Invalid(field, "%s is not the base64 of %d bytes", field, KeySize).
			WithHint("make one with: openssl rand -base64 %d", KeySize)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, leger.Wrap(leger.CodeInternal, err, "set up AES")
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return key{}, leger.Wrap(leger.CodeInternal, err, "set up GCM")
	}
	return key{id: KeyID(raw), aead: aead}, nil
}

// KeyID names a key by its bytes and opens nothing: the first 16 hex digits of
// SHA-256("leger:key-id:v1" NUL key).
func KeyID(raw []byte) string {
	sum := sha256.Sum256(slices.Concat([]byte("leger:key-id:v1\x00"), raw))
	return hex.EncodeToString(sum[:8])
}

// AdditionalData binds a ciphertext to the record it was made for: "leger:v1",
// user_uuid, name, version in decimal and key id, joined by one NUL byte each.
func AdditionalData(user leger.UserID, name leger.SecretName, v leger.Version, keyID string) []byte {
	return []byte(strings.Join([]string{
		"leger:v1", user.String(), name.String(), strconv.FormatInt(int64(v), 10), keyID,
	}, "\x00"))
}

// seal encrypts value as info's version. The nonce is random: with 2^32 seals
// under one key the chance of a repeat is 2^-33 (NIST SP 800-38D, 8.3).
func (k *KeyRing) seal(random io.Reader, info leger.SecretInfo, value leger.Plaintext) (leger.SealedSecret, error) {
	nonce := make([]byte, k.current.aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return leger.SealedSecret{}, leger.Wrap(leger.CodeInternal, err, "read random bytes")
	}
	info.ValueID = leger.ValueIDOf(nonce)
	ad := AdditionalData(info.User, info.Name, info.Version, k.current.id)
	return leger.SealedSecret{
		SecretInfo: info, Nonce: nonce,
		Ciphertext:        k.current.aead.Seal(nil, nonce, value.Reveal(), ad),
		EncryptionVersion: EncryptionVersion, KeyID: k.current.id,
	}, nil
}

// reseal seals a record with the current key, under the nonce it has. The nonce names the
// value (leger.ValueIDOf), so machines that hold the value keep it; and a nonce must not
// be used twice with one key, which it is not: the key is another. Sealing a record again
// under the same key and nonce gives the same bytes, since all that goes in is the same.
func (k *KeyRing) reseal(s leger.SealedSecret) (leger.SealedSecret, error) {
	value, err := k.open(s)
	if err != nil {
		return leger.SealedSecret{}, err
	}
	defer value.Wipe()
	ad := AdditionalData(s.User, s.Name, s.Version, k.current.id)
	s.Ciphertext = k.current.aead.Seal(nil, s.Nonce, value.Reveal(), ad)
	s.EncryptionVersion, s.KeyID = EncryptionVersion, k.current.id
	return s, nil
}

// open decrypts a record, or says why it cannot: CodeInternal, naming the secret.
func (k *KeyRing) open(s leger.SealedSecret) (leger.Plaintext, error) {
	fail := func(why string) (leger.Plaintext, error) {
		return leger.Plaintext{}, leger.Errorf(leger.CodeInternal, "the stored secret %s, version %d, cannot be opened: %s", s.Name, s.Version, why).
			WithHint("restore a backup of before the damage; leger-server verify says of one whether every record in it opens")
	}
	ky, ok := k.byID[s.KeyID]
	switch {
	case !ok:
		return fail("the server does not have the key it was sealed with")
	case s.EncryptionVersion != EncryptionVersion:
		return fail("it was sealed by another version of Leger")
	case len(s.Nonce) != ky.aead.NonceSize():
		return fail("its record is damaged")
	}
	b, err := ky.aead.Open(nil, s.Nonce, s.Ciphertext, AdditionalData(s.User, s.Name, s.Version, s.KeyID))
	if err != nil {
		return fail("its record is damaged, or is not the one that was stored")
	}
	return leger.NewPlaintext(b), nil
}

// Has reports whether the ring holds the key of this id.
func (k *KeyRing) Has(id string) bool {
	_, ok := k.byID[id]
	return ok
}
