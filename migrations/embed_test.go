package migrations_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"leger.run/leger/migrations"
)

func TestAllAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	all, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 || all[0].Name != "0001_initial" {
		t.Fatalf("the first migration should be 0001_initial, have %d migrations", len(all))
	}
	for i, m := range all {
		if m.Number != i+1 || strings.TrimSpace(m.SQL) == "" {
			t.Errorf("migration %d: number %d, %d bytes of SQL", i+1, m.Number, len(m.SQL))
		}
	}
}

// D1 refuses transaction control, and every PRAGMA that matters.
func TestAllAreAcceptableToD1(t *testing.T) {
	t.Parallel()
	all, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`(?m)--.*$`)
	refused := regexp.MustCompile(`(?i)\b(pragma|begin|commit|rollback|savepoint|attach|vacuum)\b`)
	for _, m := range all {
		if found := refused.FindString(comment.ReplaceAllString(m.SQL, "")); found != "" {
			t.Errorf("%s uses %s", m.Name, found)
		}
	}
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	sql := &fstest.MapFile{Data: []byte("SELECT 1;")}
	for name, files := range map[string]fstest.MapFS{
		"a gap":          {"0001_a.sql": sql, "0003_c.sql": sql},
		"a double":       {"0001_a.sql": sql, "0001_b.sql": sql},
		"no number":      {"initial.sql": sql},
		"a short number": {"001_a.sql": sql},
		"no name":        {"0001_.sql": sql},
		"start at zero":  {"0000_a.sql": sql},
	} {
		if list, err := migrations.List(files); err == nil {
			t.Errorf("%s: accepted as %v", name, list)
		}
	}
}

func TestListOrdersAndPassesOver(t *testing.T) {
	t.Parallel()
	list, err := migrations.List(fstest.MapFS{
		"0002_b.sql": {Data: []byte("b")}, "0001_a.sql": {Data: []byte("a")}, "README.md": {Data: []byte("x")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0] != (migrations.Migration{Number: 1, Name: "0001_a", SQL: "a"}) || list[1].Name != "0002_b" {
		t.Fatalf("list = %+v", list)
	}
}
