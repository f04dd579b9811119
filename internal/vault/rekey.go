package vault

import (
	"context"
	"slices"

	"leger.run/leger"
)

// resealBatch is how many records are written in one transaction: other writes wait for
// it, a few milliseconds.
const resealBatch = 100

// What one ResealPart reads and writes at most: an isolate of Cloudflare's has 128 MB for
// everything, and each record is there several times on its way.
const (
	partRecords = 50
	partBytes   = 1 << 20 // of ciphertexts that are written, but for the last
)

// RecordStore gives the sealed records of all users, and takes them sealed anew.
type RecordStore interface {
	RecordSource
	// Reseal replaces how the records are sealed, all or none, but for those that are
	// gone, hold another value now, or are sealed with another key than they were. A
	// returned nil survives power loss.
	Reseal(ctx context.Context, records []leger.ResealedSecret) error
}

// UseKeys makes keys the ring of the vault. It must hold every key of the former ring
// that still seals a record. When it returns, every value that was sealed with the former
// ring's key has been stored or given up, and no other will be.
func (v *Vault) UseKeys(keys *KeyRing) {
	v.sealing.Lock()
	defer v.sealing.Unlock()
	v.ring.Store(keys)
}

// Reseal seals every record that another key seals with the vault's current key, while
// values are read and written, and gives how many. It may be interrupted by ctx, or by
// the end of the process, and called again. done is called after each batch with the
// number of records passed so far. An error leaves what is done; ErrInternal and
// ErrInvalid name the record that does not open and the key that is missing.
func (v *Vault) Reseal(ctx context.Context, store RecordStore, done func(passed int)) (resealed int, err error) {
	keys := v.keys()
	var after leger.RecordPlace
	for passed := 0; ; {
		list, err := store.SealedVersions(ctx, after, resealBatch)
		if err != nil || len(list) == 0 {
			return resealed, err
		}
		after = list[len(list)-1].Place()
		passed += len(list)
		renewed, err := keys.renew(list)
		if err != nil {
			return resealed, err
		}
		if len(renewed) > 0 {
			if err := store.Reseal(ctx, renewed); err != nil {
				return resealed, err
			}
		}
		resealed += len(renewed)
		done(passed)
	}
}

// renew seals those of the records anew that another key seals.
func (k *KeyRing) renew(list []leger.SealedSecret) (renewed []leger.ResealedSecret, err error) {
	for _, s := range list {
		if s.KeyID == k.current.id {
			continue
		}
		if !k.Has(s.KeyID) {
			return nil, missingKey(s.KeyID, k)
		}
		r, err := k.reseal(s)
		if err != nil {
			return nil, err
		}
		renewed = append(renewed, leger.ResealedSecret{SealedSecret: r, FormerKeyID: s.KeyID})
	}
	return renewed, nil
}

// PartStore is a RecordStore that remembers that a rekey began.
type PartStore interface {
	RecordStore
	// BeginRekey notes that records are being sealed with this key.
	BeginRekey(ctx context.Context, keyID string) error
}

// Part is what one ResealPart did.
type Part struct {
	Passed   int               // records that were looked at
	Resealed int               // of them, those that another key sealed
	Last     leger.RecordPlace // the last one of them; where the next part begins
	End      bool              // there are no more
}

// ResealPart does the next part of what Reseal does, from the record after that place on:
// for a server whose requests may not take long. keyID names the key that all parts seal
// with. ErrConflict when the vault's current key is another one; other errors as Reseal.
func (v *Vault) ResealPart(
	ctx context.Context, store PartStore, keyID string, after leger.RecordPlace,
) (Part, error) {
	keys := v.keys()
	if keys.CurrentID() != keyID {
		return Part{}, leger.Errorf(leger.CodeConflict,
			"records were being sealed with the key %s, and the key is %s now", keyID, keys.CurrentID()).
			WithHint("begin again")
	}
	list, err := store.SealedVersions(ctx, after, partRecords)
	if err != nil {
		return Part{}, err
	}
	taken := fitting(list, keyID)
	out := Part{Last: after, End: len(list) < partRecords && taken == len(list)}
	list = list[:taken]
	renewed, err := keys.renew(list)
	if err != nil {
		return Part{}, err
	}
	if len(renewed) > 0 {
		if err := store.BeginRekey(ctx, keyID); err != nil {
			return Part{}, err
		}
		if err := store.Reseal(ctx, renewed); err != nil {
			return Part{}, err
		}
	}
	out.Passed, out.Resealed = len(list), len(renewed)
	if len(list) > 0 {
		out.Last = list[len(list)-1].Place()
	}
	return out, nil
}

// fitting is how many records of the list are taken so that no more than partBytes, and
// what the last one has, are sealed anew.
func fitting(list []leger.SealedSecret, keyID string) int {
	size := 0
	for i := range list {
		if list[i].KeyID == keyID {
			continue
		}
		if size += len(list[i].Ciphertext); size > partBytes {
			return i + 1
		}
	}
	return len(list)
}

// AuditKeys seal and open the key of the audit log.
func (v *Vault) AuditKeys() leger.AuditKeys { return v.keys() }

// FormerKeyIDs are the ids of the keys that only open.
func (v *Vault) FormerKeyIDs() []string {
	keys := v.keys()
	return slices.DeleteFunc(keys.IDs(), func(id string) bool { return id == keys.CurrentID() })
}
