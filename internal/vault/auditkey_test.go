package vault_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
)

// The key of the audit log opens with the key that sealed it, former or current, and with
// no other; what was changed, or is said to be sealed with another key, does not open.
func TestAuditKey(t *testing.T) {
	t.Parallel()
	ring := func(current, previous string) *vault.KeyRing {
		r, err := vault.ParseKeyRing(current, previous)
		must(t, err)
		return r
	}
	former, current := newKey(t), newKey(t)
	raw := bytes.Repeat([]byte{7}, 32)
	sealed, err := ring(former, "").SealAuditKey(rand.Reader, raw)
	if err != nil || bytes.Contains(sealed.Ciphertext, raw) {
		t.Fatalf("%v, %v", sealed, err)
	}
	both := ring(current, former)
	if got, err := both.OpenAuditKey(sealed); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%x, %v", got, err)
	}
	var e *leger.Error
	if _, err := ring(current, "").OpenAuditKey(sealed); !errors.As(err, &e) || e.Code != leger.CodeInvalid || e.Hint == "" {
		t.Errorf("without its key: %v", err)
	}
	for what, change := range map[string]func(*leger.SealedKey){
		"changed":         func(k *leger.SealedKey) { k.Ciphertext[0] ^= 1 },
		"of another key":  func(k *leger.SealedKey) { k.KeyID = both.CurrentID() },
		"without a nonce": func(k *leger.SealedKey) { k.Nonce = nil },
	} {
		k := leger.SealedKey{KeyID: sealed.KeyID, Nonce: bytes.Clone(sealed.Nonce), Ciphertext: bytes.Clone(sealed.Ciphertext)}
		change(&k)
		if _, err := both.OpenAuditKey(k); !errors.Is(err, leger.ErrInternal) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
