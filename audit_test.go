package leger_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"leger.run/leger"
)

// An action that the list lacks could not be asked for.
func TestActionsListsAll(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []leger.Action
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Action") {
			return true
		}
		lit, _ := spec.Values[0].(*ast.BasicLit)
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, leger.Action(text))
		return true
	})
	slices.Sort(want)
	if got := leger.Actions(); !slices.Equal(got, want) {
		t.Errorf("Actions() = %v\nthe constants are %v", got, want)
	}
}
