package sqlite

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"leger.run/leger"
)

func errClosed() error {
	return leger.Errorf(leger.CodeUnavailable, "the store is closed")
}

// errUndecided undoes an operation inside its transaction.
func errUndecided() error {
	return leger.Errorf(leger.CodeConflict, "a condition of the write did not hold")
}

func errReadOnly() error {
	return leger.Errorf(leger.CodeUnavailable, "the store was opened for reading only")
}

// storageError turns whatever a statement failed with into a *leger.Error, by
// SQLite's result code. What already is one stays as it is.
func storageError(err error) error {
	var known *leger.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return leger.Wrap(leger.CodeUnavailable, err, "the request was given up before the store began it")
	}
	var driverErr *sqlite.Error
	if !errors.As(err, &driverErr) {
		return leger.Wrap(leger.CodeUnavailable, err, "the store gave an answer that cannot be read")
	}
	return ofResultCode(driverErr)
}

// ofResultCode goes by the primary result code, the low byte of the extended
// one (https://www.sqlite.org/rescode.html).
func ofResultCode(err *sqlite.Error) *leger.Error {
	unavailable := func(message, hint string) *leger.Error {
		return &leger.Error{Code: leger.CodeUnavailable, Message: message, Hint: hint, Err: err}
	}
	switch err.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return unavailable("the disk is full", "free some space on the server's disk: writes work again at once")
	case sqlite3.SQLITE_IOERR:
		return unavailable("the disk cannot be read or written", "look for disk errors in the server's kernel log")
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return unavailable("the database file cannot be opened", "check owner and mode of the data directory")
	case sqlite3.SQLITE_READONLY:
		return unavailable("the database file cannot be written", "check owner and mode of the data directory, and whether the disk is mounted read-only")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return unavailable("the database is in use by another program", "end the program that holds the database file open")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return unavailable("the database file is damaged", howToRestore)
	case sqlite3.SQLITE_NOMEM:
		return unavailable("the server is out of memory", "")
	default:
		// Every constraint is checked by the statement itself, so what remains is a bug.
		return leger.Wrap(leger.CodeInternal, err, "the store refused a statement")
	}
}
