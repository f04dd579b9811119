package quadlet_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

// A key of Podman that no rule names would be asked about with "is not a key that
// this check knows"; one that two rules name would depend on their order.
func TestEachKeyHasOneRule(t *testing.T) {
	t.Parallel()
	var known []string
	for _, kind := range quadlet.Kinds() {
		section := kind.Section()
		keys, _ := quadlet.Keys(section)
		for _, key := range keys {
			known = append(known, key, section+"."+key)
			if n := quadlet.RulesOf(section, key); n != 1 {
				t.Errorf("[%s] %s= has %d rules", section, key, n)
			}
		}
	}
	for _, name := range quadlet.RuledKeys() {
		if !slices.Contains(known, name) && name != "DefaultDependencies" { // of [Quadlet]
			t.Errorf("a rule names %s, which Podman does not know", name)
		}
	}
}

// What asks and what only informs is one table in docs/deployments.md. It is made
// from the rules (UPDATE_GOLDEN=1 writes it anew).
func TestDocsSayWhatAsks(t *testing.T) {
	t.Parallel()
	const (
		file  = "../../docs/deployments.md"
		begin = "<!-- made by TestDocsSayWhatAsks from the rules of internal/quadlet -->\n"
		end   = "<!-- end of what is made -->\n"
	)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", file)
	}
	want := "\n" + quadlet.ConsentTable() + "\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		got = want
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("%s is not what the rules say; UPDATE_GOLDEN=1 go test ./internal/quadlet -run TestDocsSayWhatAsks writes it", file)
	}
}
