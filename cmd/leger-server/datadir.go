package main

import (
	"errors"
	"path/filepath"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/lockfile"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/sqlite"
)

// lockedData is a data directory that no other process writes to meanwhile.
type lockedData struct {
	lock *lockfile.Lock
	// aside is where a restore that was finished just now left the former files, else "".
	aside string
}

func (d lockedData) release() error { return d.lock.Release() }

// lockData makes the data directory if need be, takes its lock, and finishes or removes
// what an interrupted restore left there: nothing else may see the directory before.
func (p program) lockData(data string) (d lockedData, err error) {
	if err := safefile.MakeDir(data, 0o700); err != nil {
		return d, leger.WrapFile(leger.CodeInvalid, err, "make the data directory").WithHint("name another one with --data DIR")
	}
	if d.lock, err = sqlite.Lock(filepath.Join(data, databaseFile)); err != nil {
		return d, err
	}
	if d.aside, err = backup.Complete(data); err == nil {
		err = backup.Abandon(data)
	}
	if err != nil {
		return d, errors.Join(err, d.release())
	}
	return d, nil
}

// settleData does what lockData does for an interrupted restore, for commands that then
// work beside a running server.
func (p program) settleData(data string) error {
	if !backup.Ready(data) {
		return nil
	}
	d, err := p.lockData(data)
	if err != nil {
		return err
	}
	return d.release()
}
