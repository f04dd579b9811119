package ledger_test

import (
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the engine that plans the statements

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
	"leger.run/leger/migrations"
)

// Every write asks for the state of its names first. Left to its own choice,
// SQLite went through all secrets that the user ever had, and parsed the list of
// names anew for each: half the time of creating one secret beside 300 others.
func TestStatesAreLookedUpByName(t *testing.T) {
	t.Parallel()
	db := database(t)
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+ledger.SelectStates,
		leger.LocalIdentity("alice@localhost").UserID().String(), `["one"]`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(plan) != 3 || !strings.Contains(plan[0], "asked") || !strings.Contains(plan[1], "(user_uuid=? AND name=?)") {
		t.Errorf("the plan is not: each name asked for, then the secret of that name, then its value:\n%s", strings.Join(plan, "\n"))
	}
}

func database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	schema, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range schema {
		if _, err := db.ExecContext(t.Context(), m.SQL); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// Engines differ in what they make of numbers and times: D1 gives every number as
// a float and every time as text, SQLite's driver integers and, for the columns
// declared as TIMESTAMP, times.
func TestRowsOfEitherEngine(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)
	for engine, values := range map[string][]driver.Value{
		"SQLite": {"text", int64(7), noon.In(time.FixedZone("", 3600)), nil, nil},
		"D1":     {"text", float64(7), ledger.Timestamp(noon), nil, nil},
	} {
		r := ledger.Row{Values: values}
		if s, n, at := r.Text(), r.Integer(), r.Time(); s != "text" || n != 7 || !at.Equal(noon) || at.Location() != time.UTC {
			t.Errorf("%s: %q, %d, %v", engine, s, n, at)
		}
		if s, at := r.Text(), r.Time(); s != "" || !at.IsZero() || r.Err() != nil {
			t.Errorf("%s: NULL is %q, %v, %v", engine, s, at, r.Err())
		}
	}
}

// What a column should have held may be a secret: the error says where it was.
func TestRowErrorsDoNotQuote(t *testing.T) {
	t.Parallel()
	const canary = "canary-value"
	for what, read := range map[string]func(*ledger.Row){
		"integer": func(r *ledger.Row) { r.Integer() },
		"time":    func(r *ledger.Row) { r.Time() },
	} {
		r := ledger.Row{Values: []driver.Value{canary}}
		read(&r)
		if r.Err() == nil || strings.Contains(r.Err().Error(), canary) {
			t.Errorf("%s: %v", what, r.Err())
		}
		r.Begin()
		if r.Err() != nil || r.Text() != canary {
			t.Errorf("%s: a new row begins with the old one's error", what)
		}
	}
	r := ledger.Row{Values: []driver.Value{1.5}}
	if r.Integer(); r.Err() == nil {
		t.Error("1.5 is taken for a whole number")
	}
	if r.Begin(); r.Err() != nil {
		t.Error("an error stays")
	}
	if r.Skip(1); r.Text() != "" || r.Err() == nil {
		t.Error("a column that is not there is no error")
	}
}
