package systemd

import (
	"context"
	"os"
	"path/filepath"

	"leger.run/leger"
)

// holdName is the drop-in of a unit that is held.
const holdName = "90-leger-hold.conf"

// Hold keeps units from being started by anybody until the next Reload, by a
// drop-in of the user's runtime directory with a condition that never holds. It is
// for units that others start again whenever they stop (Upholds=). What runs runs
// on. A crash leaves them held until the next Reload or reboot. Without a runtime
// directory it does nothing.
func (m *Manager) Hold(ctx context.Context, units ...string) error {
	if m.cfg.RuntimeDir == "" || len(units) == 0 {
		return nil
	}
	for _, unit := range units {
		if err := checkName(unit); err != nil {
			return err
		}
		dir := filepath.Join(m.dropIns(), unit+".d")
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: as systemd's own directories there
			return leger.Wrap(leger.CodeUnavailable, err, "hold %s", unit)
		}
		text := []byte("# Leger is replacing this unit.\n[Unit]\nConditionPathExists=!/\n")
		if err := os.WriteFile(filepath.Join(dir, holdName), text, 0o600); err != nil {
			return leger.Wrap(leger.CodeUnavailable, err, "hold %s", unit)
		}
	}
	return m.reload(ctx)
}

// dropIns is where the user's systemd looks for what lasts until a reboot
// (systemd.unit(5), "Unit File Load Path").
func (m *Manager) dropIns() string { return filepath.Join(m.cfg.RuntimeDir, "systemd", "user") }

// release removes what Hold has written, in whatever process.
func (m *Manager) release() error {
	if m.cfg.RuntimeDir == "" {
		return nil
	}
	held, err := filepath.Glob(filepath.Join(m.dropIns(), "*.d", holdName))
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "look for units that are held")
	}
	for _, path := range held {
		if err := os.Remove(path); err != nil {
			return leger.Wrap(leger.CodeUnavailable, err, "end the hold of a unit")
		}
		_ = os.Remove(filepath.Dir(path)) // it stays where others have drop-ins in it
	}
	return nil
}
