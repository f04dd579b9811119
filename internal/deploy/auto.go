package deploy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// autoFile marks a release that is updated by itself.
type autoFile struct {
	Since   time.Time `json:"since"`
	Waiting *Waiting  `json:"waiting,omitempty"`
}

// Waiting is an update that was left to the user.
type Waiting struct {
	Since      time.Time `json:"since"`
	Generation int       `json:"generation"`       // that was current then
	Commit     string    `json:"commit,omitempty"` // empty: it was not fetched
	Reason     string    `json:"reason"`           // one sentence; it may quote the release's files
	// Kinds are those of what needs consent, each once; empty: it waits for another
	// reason.
	Kinds []quadlet.RiskKind `json:"kinds,omitempty"`
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
		return e.store.writeJSON(e.store.auto(name), autoFile{Since: e.cfg.Clock.Now().UTC()})
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

// SetWaiting notes what an update by itself left to the user; nil: nothing. For a
// release that is not updated by itself it does nothing.
func (e *Engine) SetWaiting(release leger.ReleaseName, w *Waiting) error {
	name := app(release)
	var f autoFile
	on, err := readJSON(e.store.auto(name), &f)
	if err != nil || !on || (w == nil && f.Waiting == nil) {
		return err
	}
	if w != nil {
		now := *w
		now.Since = e.cfg.Clock.Now().UTC()
		if was := f.Waiting; was != nil && was.Commit == now.Commit && was.Reason == now.Reason {
			now.Since = was.Since
		}
		w = &now
	}
	f.Waiting = w
	return e.store.writeJSON(e.store.auto(name), f)
}

// Waiting gives what was left to the user since generation current was installed;
// nil: nothing.
func (e *Engine) Waiting(release leger.ReleaseName, current int) (*Waiting, error) {
	var f autoFile
	if _, err := readJSON(e.store.auto(app(release)), &f); err != nil {
		return nil, err
	}
	if f.Waiting == nil || f.Waiting.Generation != current {
		return nil, nil //nolint:nilnil // nothing waits
	}
	return f.Waiting, nil
}
