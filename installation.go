package leger

import (
	"context"
	"time"
)

// Installation tells one server's data from another's, and from its own past.
// Version numbers can be compared only within one installation and one epoch.
type Installation struct {
	ID    string // UUIDv4, made with the database
	Epoch int64  // from 1; grows whenever the data is put back to an earlier state
}

// InstallationStore knows which installation it holds. Storage trouble is
// ErrUnavailable.
type InstallationStore interface {
	Installation(ctx context.Context) (Installation, error)
}

// BackupState says what was saved of a server's data. Whether it still exists only its
// owner knows.
type BackupState struct {
	MadeAt    time.Time // when the newest backup was made; zero: never
	KeysSaved bool      // the key in use is kept elsewhere than beside the database
}
