package secretsync

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// heldBackFile is its name within the state directory.
const heldBackFile = "held-back.json"

// HeldBack remembers, across runs, which versions of secrets stay out of this
// machine because a unit did not come up with them: without that, the next sync
// would bring them again, and the next start of the unit would fail. A version
// counts while the server still has it; a later one is brought. The file holds
// names and numbers, never a value. The zero value remembers nothing.
type HeldBack struct {
	path   string
	server string
	user   leger.UserID
}

// heldBackRecord is the file.
type heldBackRecord struct {
	Server   string                   `json:"server"`
	User     leger.UserID             `json:"user_uuid"`
	Versions map[string]leger.Version `json:"versions"` // by secret
}

// NewHeldBack remembers in dir, for a server (its URL) and a user. Nothing is read
// or written yet.
func NewHeldBack(dir, server string, user leger.UserID) *HeldBack {
	return &HeldBack{path: filepath.Join(dir, heldBackFile), server: server, user: user}
}

// Add holds versions back from now on.
func (h *HeldBack) Add(versions map[leger.SecretName]leger.Version) error {
	all := h.recall()
	maps.Copy(all, versions)
	return h.write(all)
}

// recall gives the versions. A file that cannot be read holds nothing back: then
// a sync brings what the server has, as it does anyway.
func (h *HeldBack) recall() map[leger.SecretName]leger.Version {
	out := map[leger.SecretName]leger.Version{}
	b, err := os.ReadFile(h.path)
	if err != nil {
		return out
	}
	var r heldBackRecord
	if json.Unmarshal(b, &r) != nil || r.Server != h.server || r.User != h.user {
		return out
	}
	for text, v := range r.Versions {
		if name, err := leger.ParseSecretName(text); err == nil && v > 0 {
			out[name] = v
		}
	}
	return out
}

// keepOnly forgets what the plan brought or what is no longer on the server.
func (h *HeldBack) keepOnly(p Plan) error {
	all := h.recall()
	if len(all) == 0 {
		return nil
	}
	still := map[leger.SecretName]leger.Version{}
	for _, s := range p.Steps {
		if s.Action == ActionHeldBack {
			still[s.Name] = s.To
		}
	}
	if maps.Equal(all, still) {
		return nil
	}
	return h.write(still)
}

func (h *HeldBack) write(versions map[leger.SecretName]leger.Version) error {
	err := h.replace(versions)
	if err == nil {
		return nil
	}
	return leger.WrapFile(leger.CodeDisk, err, "which versions of secrets are held back cannot be remembered").
		WithHint("is there room, and may you write to %s? until then the next sync brings them again", filepath.Dir(h.path))
}

func (h *HeldBack) replace(versions map[leger.SecretName]leger.Version) error {
	if len(versions) == 0 {
		if err := os.Remove(h.path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	r := heldBackRecord{Server: h.server, User: h.user, Versions: map[string]leger.Version{}}
	for name, v := range versions {
		r.Versions[name.String()] = v
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return safefile.Write(h.path, b, 0o600)
}

// holdsBack reports whether the store has version v and another one is active:
// what is left of a version that was taken back.
func (h Held) holdsBack(v leger.Version) bool {
	return v > h.Active && slices.Contains(h.Kept, v)
}

// WentBack tells of secrets whose former version, given here, is in place again,
// because a unit did not come up with the server's.
func (r *Report) WentBack(former map[leger.SecretName]leger.Version) {
	for i := range r.Results {
		res := &r.Results[i]
		if v, ok := former[res.Name]; ok {
			res.Action, res.From, res.Done = ActionHeldBack, v, false
		}
	}
}
