package ledger

import (
	"encoding/json"
	"errors"

	"leger.run/leger"
)

// scopeJSON is a scope of chosen machines and groups as the tables hold it. That of all
// machines is no text.
type scopeJSON struct {
	Machines []string `json:"machines"`
	Groups   []string `json:"groups"`
}

func scopeText(s leger.Scope) (string, error) {
	if !s.Chosen {
		return "", nil
	}
	b, err := json.Marshal(scopeJSON{Machines: append([]string{}, s.Machines...), Groups: append([]string{}, s.Groups...)})
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "encode a scope")
	}
	return string(b), nil
}

// scope reads what scopeText wrote. A scope that cannot be read gives the secret to
// nobody: the whole read fails.
func (r *Row) scope() leger.Scope {
	text := r.Text()
	if text == "" {
		return leger.Scope{}
	}
	var in scopeJSON
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		r.fail(errors.New("not a scope"))
		return leger.Scope{Chosen: true}
	}
	scope, err := leger.ParseScope(in.Machines, in.Groups)
	if err != nil {
		r.fail(errors.New("not a scope"))
		return leger.Scope{Chosen: true}
	}
	return scope
}
