package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// stateFile is what the daemon remembers between two runs.
type stateFile struct{ path string }

type state struct {
	User leger.UserID `json:"user"` // whose secrets are in Podman
}

// load gives the zero state when there is no file yet. ErrUnavailable,
// ErrInternal when it cannot be read or understood.
func (f stateFile) load() (state, error) {
	text, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return state{}, nil
	case err != nil:
		return state{}, leger.WrapFile(leger.CodeUnavailable, err, "read what legerd remembers")
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, leger.Wrap(leger.CodeInternal, err, "understand %s", f.path)
	}
	return s, nil
}

// save replaces the file whole, and returns when it is on the disk.
func (f stateFile) save(s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode what legerd remembers")
	}
	if err := safefile.Write(f.path, append(text, '\n'), 0o600); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "write what legerd remembers")
	}
	return nil
}
