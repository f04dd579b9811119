package localvault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// makePrivateDir makes a directory that only its owner may enter, and refuses one
// that others may.
func makePrivateDir(dir string) error {
	if err := safefile.MakeDir(dir, 0o700); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "make the directory %s", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "look at the directory %s", dir)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return leger.Invalid("data", "others may enter the data directory %s: its mode is %04o", dir, mode).
			WithHint("chmod 700 '%s'", dir)
	}
	return nil
}

// sweep removes what setec left half-written when it was killed. Only who holds the
// store's lock may do so.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), databaseFile+".tmp") {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
