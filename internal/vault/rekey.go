package vault

import (
	"context"

	"leger.run/leger"
)

// resealBatch is how many records are written in one transaction: other writes wait for
// it, a few milliseconds.
const resealBatch = 100

// RecordStore gives the sealed records of all users, and takes them sealed anew.
type RecordStore interface {
	RecordSource
	// Reseal replaces how the records are sealed, all or none, but for those that are
	// gone or hold another value now. A returned nil survives power loss.
	Reseal(ctx context.Context, records []leger.SealedSecret) error
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
func (k *KeyRing) renew(list []leger.SealedSecret) (renewed []leger.SealedSecret, err error) {
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
		renewed = append(renewed, r)
	}
	return renewed, nil
}
