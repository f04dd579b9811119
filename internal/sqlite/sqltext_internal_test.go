package sqlite

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
)

// cutUp gives the statements of a text, and the error that ended it.
func cutUp(text string) (list []string, err error) {
	s := newStatements(strings.NewReader(text))
	for {
		statement, _, err := s.next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		list = append(list, statement)
	}
}

func TestStatementsAreCutWhereSQLiteEndsThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                                     nil,
		" ;; \n; -- c":                         nil,
		"a;b;":                                 {"a;", "b;"},
		"a ';' b; c":                           {"a ';' b;"},
		"'it''s;' \";\" `;` [;];x;":            {"'it''s;' \";\" `;` [;];", "x;"},
		"-- a;\nb -- ;\n;c;":                   {"b  ;", "c;"},
		"/* a; */b/*/;*/c;":                    {"b c;"},
		"a / b - c;":                           {"a / b - c;"},
		"create trigger t begin a; b; end; c;": {"create trigger t begin a; b; end;", "c;"},
		"CREATE TEMP TRIGGER t BEGIN; ;END\n; c;":          {"CREATE TEMP TRIGGER t BEGIN; ;END\n;", "c;"},
		"EXPLAIN QUERY PLAN CREATE TRIGGER t a; x; END;b;": {"EXPLAIN QUERY PLAN CREATE TRIGGER t a; x; END;", "b;"},
		"create table trigger (end); b;":                   {"create table trigger (end);", "b;"},
		"日本語;b;":                                           {"日本語;", "b;"},
	} {
		if got, _ := cutUp(text); !slices.Equal(got, want) {
			t.Errorf("%q = %q, want %q", text, got, want)
		}
	}
}

// A statement is found by the line on which it begins.
func TestStatementsHaveLines(t *testing.T) {
	t.Parallel()
	s := newStatements(strings.NewReader("a;\n\n-- c\n/* d\n */ b '\n\n';\nc;"))
	for _, want := range []int{1, 5, 8} {
		if _, line, err := s.next(); err != nil || line != want {
			t.Errorf("line %d, %v, want %d", line, err, want)
		}
	}
}

// However a text is cut, nothing is lost: the statements, cut again, are the same.
func FuzzStatements(f *testing.F) {
	for _, seed := range []string{
		"CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END; -- c\n/* d */ SELECT 'it''s', \"a\", [b], `c`;",
		"EXPLAIN CREATE TEMPORARY TRIGGER t BEGIN; ; END\n;", "a -- b\n;'\xff'; \x00;", "/*", "'", "-",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := cutUp(text)
		if err != nil && !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
		if again, err := cutUp(strings.Join(list, "")); err != nil || !slices.Equal(again, list) {
			t.Errorf("%q = %q, and again %q, %v", text, list, again, err)
		}
	})
}
