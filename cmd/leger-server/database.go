package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"leger.run/leger"
)

// checkDatabase refuses a data directory with keys but without a database, unless a
// new one is asked for: a disk that was not mounted, or a database that was moved
// away, would come up as an empty server, and every machine would be told that all
// its secrets are gone. A server that was given its keys in the environment and keeps
// none beside the database cannot tell that from a first start.
func (p program) checkDatabase(data string, newDatabase bool) error {
	if newDatabase {
		return nil
	}
	database := filepath.Join(data, databaseFile)
	switch info, err := os.Stat(database); {
	case err == nil && info.Size() > 0:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return leger.Wrap(leger.CodeUnavailable, err, "look for %s", database)
	}
	for _, key := range []string{encryptionKeyFile, sharedSecretFile} {
		if _, err := os.Lstat(filepath.Join(data, key)); err == nil {
			return leger.Errorf(leger.CodeConflict, "%s holds %s, but no database %s: a new one would look like a server "+
				"without secrets, and machines would remove theirs", data, key, databaseFile).
				WithHint("mount the disk that holds the database, or put a backup in its place with leger-server restore FILE; " +
					"to begin with an empty one, start once with --new-database")
		}
	}
	return nil
}
