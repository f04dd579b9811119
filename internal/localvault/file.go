package localvault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
)

// makePrivateDir makes a directory that only its owner may enter, and refuses one
// that others may.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "make the directory %s", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "look at the directory %s", dir)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return leger.Invalid("data", "others may enter the data directory %s: its mode is %04o", dir, mode).
			WithHint("chmod 700 '%s'", dir)
	}
	return nil
}

// writeTemp writes a new file (0600) to the disk and gives its name.
func writeTemp(dir, name string, data []byte) (path string, err error) {
	f, err := os.CreateTemp(dir, name+".tmp")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close())
}

// syncDir makes the names in a directory survive power loss.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // G304: the data directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweep removes what writers that were killed left half-written.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, name := range []string{databaseFile, keyFile} {
			if strings.HasPrefix(e.Name(), name+".tmp") {
				err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
			}
		}
	}
	return err
}
