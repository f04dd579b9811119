package sqlite

import (
	"context"
	"slices"
	"strings"

	"leger.run/leger/internal/ledger"
)

// table is a table whose rows move when an installation moves to another database.
type table struct {
	name    string
	columns []column
}

// column is a column, with the type that the schema declares.
type column struct {
	name, kind string
	key        bool // part of the primary key
}

const (
	selectColumns = `
SELECT m.name, i.name, i.type, i.pk FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS i
WHERE m.type = 'table' ORDER BY m.name, i.cid`

	selectReferences = `
SELECT m.name, f."table" FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f
WHERE m.type = 'table'`
)

// stays reports whether a table's rows belong to one database, or live only minutes:
// nobody is signed in by them at another place.
func stays(name string) bool {
	switch name {
	case "schema_migrations", "sessions", "sign_in_links", "enrolments", "wrong_codes", "operator_tickets", "rekeys":
		return true
	}
	return strings.HasPrefix(name, "sqlite_")
}

// movingTables gives the tables of a database whose rows move: those that are referenced
// before those that reference them. The row that says which installation it is comes last,
// so that what was cut short is no installation.
func movingTables(ctx context.Context, c *conn) ([]table, error) {
	var found []table
	err := c.query(ctx, selectColumns, nil, func(r *ledger.Row) {
		name, col := r.Text(), column{name: r.Text(), kind: r.Text(), key: r.Integer() > 0}
		if stays(name) {
			return
		}
		if len(found) == 0 || found[len(found)-1].name != name {
			found = append(found, table{name: name})
		}
		t := &found[len(found)-1]
		t.columns = append(t.columns, col)
	})
	if err != nil {
		return nil, storageError(err)
	}
	references := map[string][]string{}
	err = c.query(ctx, selectReferences, nil, func(r *ledger.Row) {
		from, to := r.Text(), r.Text()
		references[from] = append(references[from], to)
	})
	return referencedFirst(found, references), storageError(err)
}

func referencedFirst(tables []table, references map[string][]string) []table {
	var ordered []table
	done := map[string]bool{}
	var add func(t table)
	add = func(t table) {
		if done[t.name] {
			return
		}
		done[t.name] = true
		for _, other := range tables {
			if slices.Contains(references[t.name], other.name) {
				add(other)
			}
		}
		ordered = append(ordered, t)
	}
	last := func(t table) bool { return t.name == "installation" }
	for _, t := range tables {
		if !last(t) {
			add(t)
		}
	}
	for _, t := range tables {
		add(t) // what is left
	}
	return ordered
}

// selectRows reads the columns as they are stored: of a bare column that is declared as
// TIMESTAMP the driver makes a time.
func (t *table) selectRows() string {
	return "SELECT +" + strings.Join(t.quoted(), ", +") + " FROM " + quoteName(t.name)
}

// insertRow has a parameter for each column.
func (t *table) insertRow() string {
	marks := strings.Repeat(", ?", len(t.columns))
	return t.insertHead() + " (" + strings.TrimPrefix(marks, ", ") + ")"
}

func (t *table) insertHead() string {
	return "INSERT INTO " + quoteName(t.name) + " (" + strings.Join(t.quoted(), ", ") + ") VALUES"
}

func (t *table) deleteRows() string { return "DELETE FROM " + quoteName(t.name) }

func (t *table) quoted() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = quoteName(c.name)
	}
	return names
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
