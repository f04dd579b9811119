// Package cloudflare keeps what Leger stores on Cloudflare: the ledger on D1, the
// specification's copies in KV, and limits.
//
// Its invariant: D1 decides; KV holds copies which are believed only when they
// are of the version that D1 names. It starts no goroutine, holds no lock across
// an operation, and asks for the platform only through Bindings, so that it also
// runs natively in tests. Requests and their loop are the business of
// cmd/leger-worker and of worker/src.
package cloudflare

import (
	"context"

	"leger.run/leger"
)

// Names of the bindings, as the specification has them.
const (
	BindingDatabase = "LEGER_DB"
	BindingUsers    = "LEGER_USERS"
	BindingSecrets  = "LEGER_SECRETS"
	BindingStatic   = "LEGER_STATIC"
	BindingAssets   = "ASSETS"
	// The rate limits' are Leger's own, and optional: without them each isolate
	// counts for itself.
	BindingRequests = "LEGER_REQUESTS"
	BindingRefusals = "LEGER_REFUSALS"
)

// Bindings runs operations of the platform for the request that ctx belongs to.
// The answer is in cells; an error has the platform's own text, which names no
// value that was bound. Operations and their answers are described where they are
// run: worker/src/bindings.mjs.
type Bindings interface {
	Do(ctx context.Context, op Operation) ([]byte, error)
}

// Operation is one call of a binding, as the shim reads it from JSON.
type Operation struct {
	Kind       Kind        `json:"kind"`
	Binding    string      `json:"binding,omitempty"`
	Statements []query     `json:"statements,omitempty"`
	Keys       []string    `json:"keys,omitempty"`
	Entries    []entry     `json:"entries,omitempty"`
	Key        string      `json:"key,omitempty"`
	Probe      []probeKind `json:"probe,omitempty"`
	Deep       bool        `json:"deep,omitempty"` // probe: ask each for something, too
	// Later: the answer is empty at once, and the operation is done after the
	// request was answered; its failure is in the log.
	Later bool `json:"later,omitempty"`
}

// Kind says what an operation does.
type Kind string

// The operations.
const (
	opRead   Kind = "d1.read"   // one statement; cells: columns, then the rows
	opWrite  Kind = "d1.write"  // one batch; for each statement: rows written, columns, rows, cells
	opGet    Kind = "kv.get"    // for each key: value or null, metadata as JSON or null
	opPut    Kind = "kv.put"    // no answer
	opDelete Kind = "kv.delete" // no answer
	opList   Kind = "kv.list"   // the keys that begin with Key
	opLimit  Kind = "limit"     // 1: allowed, 0: not, null: there is no such binding
	opProbe  Kind = "probe"     // for each of Probe: "ok", or what is wrong
)

// query is a statement on its way to D1.
type query struct {
	Text string `json:"sql"`
	Args []any  `json:"args"`
	Rows bool   `json:"rows,omitempty"` // its rows are wanted
}

// entry is a KV record on its way.
type entry struct {
	Key      string `json:"key"`
	Value    any    `json:"value"`
	Metadata any    `json:"metadata,omitempty"`
}

// probeKind asks whether a binding is there and is of its kind.
type probeKind struct {
	Binding string `json:"binding"`
	Type    string `json:"type"` // d1, kv, r2 or fetcher
}

// unavailable is what callers see of the platform's trouble; the cause is for the
// log.
func unavailable(what string, err error) error {
	return leger.Wrap(leger.CodeUnavailable, err, "%s", what).
		WithHint("try again; https://www.cloudflarestatus.com tells of trouble on Cloudflare's side")
}
