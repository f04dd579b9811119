package backup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// recordFile is the file of a Record in the data directory.
const recordFile = "backups.json"

// Record says what was saved of a data directory. It is a claim about the past: whether
// the backup still exists only its owner knows.
type Record struct {
	// BackupAt is when the newest backup was made; zero: never.
	BackupAt time.Time `json:"backup_at,omitzero"`
	// KeysAt is, by key id, when the key was last saved away from the database: in an
	// encrypted backup or on a recovery sheet.
	KeysAt map[string]time.Time `json:"keys_at,omitempty"`
}

// ReadRecord gives the record of a data directory, the zero Record if there is none.
func ReadRecord(data string) (r Record, err error) {
	text, err := os.ReadFile(filepath.Join(data, recordFile)) //nolint:gosec // G304: the server's own file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case err != nil:
		return r, leger.WrapFile(leger.CodeUnavailable, err, "read %s", recordFile)
	case json.Unmarshal(text, &r) != nil:
		return Record{}, leger.Errorf(leger.CodeInternal, "%s cannot be read", filepath.Join(data, recordFile)).
			WithHint("remove it: the next backup writes it again")
	}
	return r, nil
}

// NoteBackup records that a backup was made at this time, with the keys of these ids.
func NoteBackup(data string, at time.Time, keyIDs []string) error {
	return note(data, func(r *Record) {
		r.BackupAt = at.UTC()
		r.saved(at, keyIDs)
	})
}

// NoteKeys records that the keys of these ids were saved at this time.
func NoteKeys(data string, at time.Time, keyIDs []string) error {
	return note(data, func(r *Record) { r.saved(at, keyIDs) })
}

func (r *Record) saved(at time.Time, keyIDs []string) {
	r.KeysAt = maps.Clone(r.KeysAt)
	if r.KeysAt == nil {
		r.KeysAt = map[string]time.Time{}
	}
	for _, id := range keyIDs {
		r.KeysAt[id] = at.UTC()
	}
}

// note changes the record. One that cannot be read is begun anew.
func note(data string, change func(*Record)) error {
	r, err := ReadRecord(data)
	if err != nil && leger.CodeOf(err) != leger.CodeInternal {
		return err
	}
	change(&r)
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "write %s", recordFile)
	}
	if err := safefile.Write(filepath.Join(data, recordFile), append(text, '\n'), 0o600); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "write %s", recordFile)
	}
	return nil
}
