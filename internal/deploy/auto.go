package deploy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"leger.run/leger"
)

// autoFile marks a release that is updated by itself.
type autoFile struct {
	Since time.Time `json:"since"`
}

func (s store) auto(app string) string { return filepath.Join(s.app(app), "auto.json") }

// SetAuto notes whether a release is updated by itself; who does so is up to the
// caller. ErrNotFound if it is not installed.
func (e *Engine) SetAuto(release leger.ReleaseName, on bool) error {
	name := app(release)
	rec, err := e.store.load(name)
	if err != nil {
		return err
	}
	if rec.current == nil {
		return notInstalled(release)
	}
	if on {
		return writeJSON(e.store.auto(name), autoFile{e.cfg.Clock.Now().UTC()})
	}
	if err := os.Remove(e.store.auto(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrapDisk(err, "note that the release is not updated by itself")
	}
	return nil
}

// Auto reports whether a release is updated by itself.
func (e *Engine) Auto(release leger.ReleaseName) (bool, error) {
	var f autoFile
	return readJSON(e.store.auto(app(release)), &f)
}
