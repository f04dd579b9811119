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
	return guarded(dir)
}

// guarded refuses a file or directory of the store that others may change or read.
func guarded(path string) error {
	err := safefile.Check(path, safefile.Hides)
	if leger.CodeOf(err) == leger.CodeInternal {
		return leger.WrapFile(leger.CodeUnavailable, err, "look at %s", path)
	}
	return err
}

// sweep removes what setec and Rekey left half-written when they were killed. Only who
// holds the store's lock may do so.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// The latter two are safefile's names.
		half := func(prefix string) bool { return strings.HasPrefix(e.Name(), prefix+".tmp") }
		if half(databaseFile) || half("."+databaseFile) || half("."+nextKeyFile) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
