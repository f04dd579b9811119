// Package migrations holds the database schema of Leger: numbered files of SQL,
// applied in order, each exactly once. The same files serve SQLite and
// Cloudflare D1 (wrangler reads this directory), so they hold plain DDL and DML:
// no PRAGMA and no BEGIN. A file that was released is never edited; a change is
// a new file.
//
// The package only hands the files out. Who applies them, and in which
// transaction, is the business of the stores.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Files holds the numbered SQL files.
//
//go:embed *.sql
var Files embed.FS

// Migration is one step of the schema.
type Migration struct {
	Number int    // from 1, without gaps
	Name   string // the file's name without ".sql", e.g. "0001_initial"
	SQL    string // one or more statements
}

// All gives every migration of this version of Leger, in order.
func All() ([]Migration, error) { return List(Files) }

// List reads the migrations at the root of files, in order. Files that do not
// end in ".sql" are passed over. It fails if a name is not NNNN_name.sql or the
// numbers are not 1, 2, 3…
func List(files fs.FS) ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	slices.Sort(names)
	list := make([]Migration, 0, len(names))
	for i, name := range names {
		number, err := numberOf(name)
		if err != nil {
			return nil, err
		}
		if number != i+1 {
			return nil, fmt.Errorf("migration %s has number %d where %d is next", name, number, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		list = append(list, Migration{Number: number, Name: strings.TrimSuffix(name, path.Ext(name)), SQL: string(text)})
	}
	return list, nil
}

func numberOf(name string) (int, error) {
	digits, rest, ok := strings.Cut(strings.TrimSuffix(name, ".sql"), "_")
	const words = "abcdefghijklmnopqrstuvwxyz0123456789_"
	if !ok || len(digits) != 4 || strings.Trim(digits, "0123456789") != "" || rest == "" || strings.Trim(rest, words) != "" {
		return 0, fmt.Errorf("migration %s is not named NNNN_name.sql", name)
	}
	return strconv.Atoi(digits)
}
