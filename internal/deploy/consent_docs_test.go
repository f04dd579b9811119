package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/deployments.md names every kind of thing that a plan asks about beside the risks
// of quadlets, and no other.
func TestDocsNameWhatPlansAskAbout(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "consent.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 || !strings.HasPrefix(v.Names[0].Name, "Risk") {
				continue
			}
			if text, ok := v.Values[0].(*ast.BasicLit); ok {
				kind, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				kinds = append(kinds, kind)
			}
		}
	}
	page, err := os.ReadFile("../../docs/deployments.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "| `kind` in `--json` | asks when |\n|---|---|\n")
	if !ok {
		t.Fatal("the page has no table of what plans ask about")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var named []string
	for row := range strings.Lines(table) {
		named = append(named, strings.Trim(strings.Split(row, "|")[1], " `"))
	}
	slices.Sort(kinds)
	slices.Sort(named)
	if len(kinds) < 6 || !slices.Equal(kinds, named) {
		t.Errorf("the page names %q, plans ask about %q", named, kinds)
	}
}
