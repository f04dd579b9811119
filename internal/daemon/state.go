package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"leger.run/leger"
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
		return state{}, leger.Wrap(leger.CodeUnavailable, err, "read what legerd remembers")
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, leger.Wrap(leger.CodeInternal, err, "understand %s", f.path)
	}
	return s, nil
}

// save replaces the file whole, and returns when it is on the disk.
func (f stateFile) save(s state) (err error) {
	text, err := json.Marshal(s)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode what legerd remembers")
	}
	dir := filepath.Dir(f.path)
	temp, err := os.CreateTemp(dir, "state.tmp")
	if err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "write what legerd remembers")
	}
	_, err = temp.Write(append(text, '\n'))
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return leger.Wrap(leger.CodeUnavailable, err, "write what legerd remembers")
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // G304: the data directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
