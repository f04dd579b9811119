package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/lockfile"
)

// A unit that is held has a drop-in of this name, with the id of the Manager that
// holds it in the middle.
const (
	holdPrefix = "90-leger-hold-"
	holdSuffix = ".conf"
)

// hold is what a Manager holds units by. The lock tells others that it still does: the
// kernel gives it back when the process ends, however it ends.
type hold struct {
	id   string
	lock *lockfile.Lock
}

// Hold keeps units from being started by anybody until this Manager's next Reload, by a
// drop-in of the user's runtime directory with a condition that never holds. What runs
// runs on. A reload of somebody else's leaves them held; what a process that is gone
// has left held ends with the next Reload of any, or with the session. Without a
// runtime directory it does nothing.
func (m *Manager) Hold(ctx context.Context, units ...string) error {
	if m.cfg.RuntimeDir == "" || len(units) == 0 {
		return nil
	}
	for _, unit := range units {
		if err := checkName(unit); err != nil {
			return err
		}
	}
	id, err := m.holdID()
	if err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "hold units")
	}
	for _, unit := range units {
		dir := filepath.Join(m.dropIns(), unit+".d")
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: as systemd's own directories there
			return leger.Wrap(leger.CodeUnavailable, err, "hold %s", unit)
		}
		text := []byte("# Leger is replacing this unit.\n[Unit]\nConditionPathExists=!/\n")
		if err := os.WriteFile(filepath.Join(dir, holdPrefix+id+holdSuffix), text, 0o600); err != nil {
			return leger.Wrap(leger.CodeUnavailable, err, "hold %s", unit)
		}
	}
	return m.reload(ctx)
}

// dropIns is where the user's systemd looks for what lasts until a reboot
// (systemd.unit(5), "Unit File Load Path").
func (m *Manager) dropIns() string { return filepath.Join(m.cfg.RuntimeDir, "systemd", "user") }

// locks is where Managers that hold units have a lock file each.
func (m *Manager) locks() string { return filepath.Join(m.cfg.RuntimeDir, "leger", "holds") }

func (m *Manager) holdLock(id string) string { return filepath.Join(m.locks(), id+".lock") }

// holdID is the id of this Manager's hold, which it takes at first need.
func (m *Manager) holdID() (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held.lock != nil {
		return m.held.id, nil
	}
	if err := os.MkdirAll(m.locks(), 0o700); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(m.locks(), "*.lock")
	if err != nil {
		return "", err
	}
	if err := file.Close(); err != nil {
		return "", err
	}
	lock, err := lockfile.Try(file.Name())
	if err != nil {
		return "", err
	}
	m.held = hold{strings.TrimSuffix(filepath.Base(file.Name()), ".lock"), lock}
	return m.held.id, nil
}

// release ends this Manager's hold, and those of whoever is gone.
func (m *Manager) release() error {
	if m.cfg.RuntimeDir == "" {
		return nil
	}
	// One from before holds had an id is named like those, without it.
	drops, err := filepath.Glob(filepath.Join(m.dropIns(), "*.d", strings.TrimSuffix(holdPrefix, "-")+"*"+holdSuffix))
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "look for units that are held")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ended := map[string]bool{m.held.id: true}
	for _, path := range drops {
		id := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(path), holdSuffix), holdPrefix)
		if _, asked := ended[id]; !asked {
			if ended[id], err = m.isOver(id); err != nil {
				return leger.Wrap(leger.CodeUnavailable, err, "end the hold of a unit")
			}
		}
		if !ended[id] {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // another may be as quick
			return leger.Wrap(leger.CodeUnavailable, err, "end the hold of a unit")
		}
		_ = os.Remove(filepath.Dir(path)) // it stays where others have drop-ins in it
	}
	if m.held.lock != nil {
		_ = os.Remove(m.holdLock(m.held.id))
		m.letGo()
	}
	return nil
}

// isOver reports whether nobody holds units by this id any more, and removes its lock
// file then.
func (m *Manager) isOver(id string) (bool, error) {
	path := m.holdLock(id)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	lock, err := lockfile.Try(path)
	if _, held := errors.AsType[*lockfile.HeldError](err); held {
		return false, nil
	} else if err != nil {
		return false, err
	}
	_ = os.Remove(path) // an id is given once
	return true, lock.Release()
}

// letGo gives the lock back. Units that are still held end with anybody's Reload then.
func (m *Manager) letGo() {
	if m.held.lock != nil {
		_ = m.held.lock.Release()
		m.held = hold{}
	}
}
