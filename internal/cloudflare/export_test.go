package cloudflare

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"leger.run/leger"
)

// RunScript runs the statements of a migration. None of them holds a semicolon in a
// string, which D1 itself would have to be told from the end of one.
func RunScript(ctx context.Context, b Bindings, text string) error {
	text = regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(text, "")
	var batch []query
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) != "" {
			batch = append(batch, query{Text: part, Args: []any{}})
		}
	}
	_, err := b.Do(ctx, Operation{Kind: opWrite, Binding: BindingDatabase, Statements: batch})
	return err
}

// ReadCells gives every cell of an answer.
func ReadCells(answer []byte) ([]any, error) {
	c := &cells{rest: answer}
	var list []any
	for c.more() {
		list = append(list, c.value())
	}
	return list, c.err
}

// Copy gives what KV is given of a secret, as text.
func Copy(s *leger.SealedSecret) (value, metadata string, err error) {
	e := secretEntry(s)
	v, err := json.Marshal(e.Value)
	if err != nil {
		return "", "", err
	}
	m, err := json.Marshal(e.Metadata)
	return string(v), string(m), err
}

// Stale reports whether the store does not believe the copy that KV holds of a secret.
func (s *Store) Stale(ctx context.Context, info leger.SecretInfo) bool {
	stale, _ := s.copies(ctx, []leger.SecretInfo{info}, make([]leger.SealedSecret, 1))
	return len(stale) > 0
}

// Believed gives the secret of a copy, and whether it is what the ledger means.
func Believed(info leger.SecretInfo, value, metadata string) (leger.SealedSecret, bool) {
	return sealedOf(info, value, metadata)
}
