package vault

import (
	"io"
	"strings"

	"leger.run/leger"
)

// auditKeyData binds the sealed key of the audit log to what it is and to the key that
// seals it, as AdditionalData does for a secret, whose first field is another.
func auditKeyData(keyID string) []byte {
	return []byte(strings.Join([]string{"leger:audit-key:v1", keyID}, "\x00"))
}

// SealAuditKey seals the key of the audit log with the current key.
func (k *KeyRing) SealAuditKey(random io.Reader, raw []byte) (leger.SealedKey, error) {
	nonce := make([]byte, k.current.aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return leger.SealedKey{}, leger.Wrap(leger.CodeInternal, err, "read random bytes")
	}
	return leger.SealedKey{
		KeyID: k.current.id, Nonce: nonce, Ciphertext: k.current.aead.Seal(nil, nonce, raw, auditKeyData(k.current.id)),
	}, nil
}

// OpenAuditKey opens the key of the audit log. ErrInvalid, naming the key that is
// missing; ErrInternal when it is damaged.
func (k *KeyRing) OpenAuditKey(s leger.SealedKey) ([]byte, error) {
	ky, ok := k.byID[s.KeyID]
	if !ok {
		return nil, leger.Invalid("ENCRYPTION_KEY", "the audit log's key is sealed with the key %s, and ENCRYPTION_KEY is the key %s",
			s.KeyID, k.current.id).
			WithHint("set ENCRYPTION_KEY to the key the secrets were sealed with, or name that key in ENCRYPTION_KEY_PREVIOUS")
	}
	if len(s.Nonce) == ky.aead.NonceSize() {
		if raw, err := ky.aead.Open(nil, s.Nonce, s.Ciphertext, auditKeyData(s.KeyID)); err == nil {
			return raw, nil
		}
	}
	return nil, leger.Errorf(leger.CodeInternal, "the stored key of the audit log cannot be opened: its record is damaged").
		WithHint("restore the newest backup, or begin anew with leger-server audit restart")
}
