package cloudflare

import (
	"testing"

	"leger.run/leger/internal/ledger"
)

// D1 runs a batch whole. A statement after the first one, which had decided no, ran all
// the same, though the ledger promises that nothing of the list is written.
func TestBatchesAreGuardedUnlessWhatFollowsIsRight(t *testing.T) {
	t.Parallel()
	var (
		decides = ledger.Statement{Text: "decides", Decides: true}
		follows = ledger.Statement{Text: "follows", Follows: true}
		reads   = ledger.Statement{Text: "reads", Each: func(*ledger.Row) {}}
		writes  = ledger.Statement{Text: "writes"}
	)
	for name, c := range map[string]struct {
		list   []ledger.Statement
		guards bool
	}{
		"nothing decides":                 {[]ledger.Statement{writes, writes, reads}, false},
		"one decides":                     {[]ledger.Statement{decides}, false},
		"what follows is right":           {[]ledger.Statement{decides, follows, reads, follows}, false},
		"a write would run":               {[]ledger.Statement{decides, writes}, true},
		"a write would run later":         {[]ledger.Statement{decides, follows, writes}, true},
		"a write must be taken back":      {[]ledger.Statement{writes, decides, follows}, true},
		"what follows must be taken back": {[]ledger.Statement{decides, follows, decides, follows}, true},
	} {
		if got := needsGuards(c.list); got != c.guards {
			t.Errorf("%s: guarded %t", name, got)
		}
	}
}
