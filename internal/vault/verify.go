package vault

import (
	"context"

	"leger.run/leger"
)

// verifyBatch is how many records are read at a time: at most 64 KiB each.
const verifyBatch = 200

// RecordSource gives the sealed records of all users.
type RecordSource interface {
	// SealedVersions gives up to limit kept versions of all users that come after the
	// place after, in an order of its own that does not change. The zero place is
	// before the first.
	SealedVersions(ctx context.Context, after leger.RecordPlace, limit int) ([]leger.SealedSecret, error)
}

// VerifyRecords opens every record of source, every kept version of all users, and gives
// their number. ErrInvalid, naming the key that is missing; ErrInternal, naming the
// secret whose record does not open.
func VerifyRecords(ctx context.Context, keys *KeyRing, source RecordSource) (records int, err error) {
	var after leger.RecordPlace
	for {
		list, err := source.SealedVersions(ctx, after, verifyBatch)
		if err != nil {
			return records, err
		}
		for _, s := range list {
			if !keys.Has(s.KeyID) {
				return records, missingKey(s.KeyID, keys)
			}
			value, err := keys.open(s)
			if err != nil {
				return records, err
			}
			value.Wipe()
			records++
			after = s.Place()
		}
		if len(list) < verifyBatch {
			return records, nil
		}
	}
}

func missingKey(id string, keys *KeyRing) error {
	return leger.Invalid("ENCRYPTION_KEY", "there are secrets sealed with the key %s, and ENCRYPTION_KEY is the key %s", id, keys.CurrentID()).
		WithHint("give the key %s in ENCRYPTION_KEY_FILE, or restore it from its recovery sheet", id)
}
