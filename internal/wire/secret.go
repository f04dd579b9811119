package wire

import "leger.run/leger"

// Secrets is the answer of GET /api/secrets, in order of name.
type Secrets struct {
	Secrets []Secret `json:"secrets"`
	// Withheld are the names of those that are not given to the machine that asks for
	// values. One that only delivers is not told.
	Withheld []leger.SecretName `json:"withheld,omitempty"`
	Installation
}

// Secret is one secret. Value is there only when values were asked for.
type Secret struct {
	Name      leger.SecretName `json:"name"`
	Value     *string          `json:"value,omitempty"`
	Version   leger.Version    `json:"version"`
	CreatedAt Time             `json:"created_at"`
	UpdatedAt Time             `json:"updated_at"`
	// ValueID changes whenever the value does, even where the number repeats, and says
	// nothing about the value. "" from a server that does not know it.
	ValueID string `json:"value_id,omitempty"`
	// Scope says which machines it is given to; nil: all. A machine that only delivers is
	// not told.
	Scope *Scope `json:"scope,omitempty"`
}

// Scope says which machines a secret is given to: all, or those that are named and those
// of the groups; with neither it is none.
type Scope struct {
	All      bool     `json:"all,omitempty"`
	Machines []string `json:"machines,omitzero"` // ids
	Groups   []string `json:"groups,omitzero"`
}

// ScopeOf converts a scope.
func ScopeOf(s leger.Scope) Scope {
	if !s.Chosen {
		return Scope{All: true}
	}
	return Scope{Machines: append([]string{}, s.Machines...), Groups: append([]string{}, s.Groups...)}
}

// Parse gives what a client asks for. ErrInvalid.
func (s *Scope) Parse() (leger.Scope, error) {
	named := s.Machines != nil || s.Groups != nil
	switch {
	case s.All && named:
		return leger.Scope{}, leger.Invalid("all", "a secret is given to all machines or to chosen ones, not both")
	case s.All:
		return leger.Scope{}, nil
	case !named:
		return leger.Scope{}, leger.Invalid("all", "say which machines are given the secret: all, or machines and groups")
	}
	return leger.ParseScope(s.Machines, s.Groups)
}

// SecretOf converts what is known without opening the secret.
func SecretOf(s leger.SecretInfo) Secret {
	out := Secret{Name: s.Name, Version: s.Version, CreatedAt: At(s.CreatedAt), UpdatedAt: At(s.UpdatedAt), ValueID: s.ValueID}
	if s.Scope.Chosen {
		scope := ScopeOf(s.Scope)
		out.Scope = &scope
	}
	return out
}

// SecretPut is the body of POST /api/secrets/:name. Without a scope that of the secret
// stays, and a new one is given to all machines.
type SecretPut struct {
	Value string `json:"value"`
	Scope *Scope `json:"scope,omitempty"`
}

// SecretWritten is the answer of POST /api/secrets/:name and …/restore.
type SecretWritten struct {
	Name      leger.SecretName `json:"name"`
	Version   leger.Version    `json:"version"`
	CreatedAt Time             `json:"created_at"`
	UpdatedAt Time             `json:"updated_at"`
	ValueID   string           `json:"value_id,omitempty"`
	Changed   bool             `json:"changed"` // false: it held this value already
}

// SecretVersions is the answer of GET /api/secrets/:name/versions, newest first.
type SecretVersions struct {
	Versions []SecretVersion `json:"versions"`
}

// SecretVersion is one kept version; its value is not in it.
type SecretVersion struct {
	Version   leger.Version `json:"version"`
	CreatedAt Time          `json:"created_at"`
	Current   bool          `json:"current"`
}

// SecretRestore is the body of POST /api/secrets/:name/restore.
type SecretRestore struct {
	Version leger.Version `json:"version"`
}

// SecretBatch is the body of POST /api/secrets:batch.
type SecretBatch struct {
	Secrets []SecretBatchItem `json:"secrets"`
	DryRun  bool              `json:"dry_run,omitempty"`
}

// SecretBatchItem is one secret to write.
type SecretBatchItem struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Version is the version that must be current, 0 for none; nil asks nothing.
	Version *leger.Version `json:"version,omitempty"`
}

// BatchState says what a batch does, or would do, with one of its items.
type BatchState string

// The states of a batch's items.
const (
	BatchNew       BatchState = "new"
	BatchChanged   BatchState = "changed"
	BatchUnchanged BatchState = "unchanged"
	BatchInvalid   BatchState = "invalid"
	BatchConflict  BatchState = "conflict" // it expected another version
)

// SecretBatchResult is the answer of POST /api/secrets:batch, in the order sent.
// With one item that is invalid or a conflict nothing is applied.
type SecretBatchResult struct {
	Applied bool               `json:"applied"`
	Results []SecretBatchState `json:"results"`
}

// SecretBatchState is the verdict on one item.
type SecretBatchState struct {
	Name    string        `json:"name"`
	State   BatchState    `json:"state"`
	Version leger.Version `json:"version,omitempty"` // the current one, after the write
	Current leger.Version `json:"current_version"`   // the one before the write; 0: none
	Message string        `json:"message,omitempty"` // why it is invalid or a conflict
}
