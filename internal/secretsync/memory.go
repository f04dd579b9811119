package secretsync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// memoryFile is its name within the state directory.
const memoryFile = "sync.json"

// Memory remembers, across runs, with whom this machine last synced and the
// server's state that it wholly holds. It is one file: syncing with another server
// or as another user replaces it, because the machine then holds that one's state.
// It never holds a value, nor a secret's name.
type Memory struct {
	path   string
	server string
	user   leger.UserID
}

// identity is with whom a machine syncs.
type identity struct {
	Server       string       `json:"server"` // its URL
	User         leger.UserID `json:"user_uuid"`
	Installation string       `json:"installation,omitempty"` // empty: a server that tells none
	Epoch        int64        `json:"epoch,omitempty"`
}

// record is the file.
type record struct {
	identity

	ETag string `json:"etag,omitempty"` // empty: the last sync did not end well
	Held string `json:"held,omitempty"` // digest of names and versions on the machine
	// Withheld is how many secrets the server did not give to this machine.
	Withheld int `json:"withheld,omitempty"`
}

// known reports whether there is an identity at all.
func (i identity) known() bool { return i.Server != "" }

// otherServer reports whether the last sync was with other data than this one's. A
// server that tells no installation is known by its address.
func (i identity) otherServer(last identity) bool {
	switch {
	case !last.known():
		return false
	case i.Installation != "" && last.Installation != "":
		return i.Installation != last.Installation
	default:
		return i.Server != last.Server
	}
}

// restored reports whether the same server went back to an earlier state since.
func (i identity) restored(last identity) bool {
	return i.Installation != "" && i.Installation == last.Installation && i.Epoch != last.Epoch
}

// NewMemory remembers in dir, for a server (its URL) and a user. Nothing is read
// or written yet.
func NewMemory(dir, server string, user leger.UserID) *Memory {
	return &Memory{path: filepath.Join(dir, memoryFile), server: server, user: user}
}

// identity is that of a sync now.
func (m *Memory) identity(o Origin) identity {
	return identity{Server: m.server, User: m.user, Installation: o.Installation, Epoch: o.Epoch}
}

// recall tells with whom the last sync was, and what it left, its tag above all, if that
// was with this server and user and the machine still holds it. A file that cannot be
// read costs one full sync, and that nobody is asked about another server.
func (m *Memory) recall(held map[leger.SecretName]leger.Version) record {
	b, err := os.ReadFile(m.path)
	if err != nil {
		return record{}
	}
	var r record
	if json.Unmarshal(b, &r) != nil {
		return record{}
	}
	if r.Server != m.server || r.User != m.user || r.Held != digest(held) {
		return record{identity: r.identity}
	}
	return r
}

// begin remembers with whom this machine syncs, before the first step.
func (m *Memory) begin(now identity) error {
	if err := m.write(record{identity: now}); err != nil {
		return leger.WrapFile(leger.CodeDisk, err, "with which server this machine syncs cannot be remembered; nothing was changed").
			WithHint("is there room, and may you write to %s?", filepath.Dir(m.path))
	}
	return nil
}

// keep writes down what a sync has left, in place of what was remembered.
func (m *Memory) keep(want record, held map[leger.SecretName]leger.Version) error {
	want.Held = digest(held)
	if err := m.write(want); err != nil {
		return leger.WrapFile(leger.CodeDisk, err, "the secrets are in place, but the sync state cannot be remembered").
			WithHint("is there room, and may you write to %s?", filepath.Dir(m.path))
	}
	return nil
}

func (m *Memory) write(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(m.path); err == nil && string(old) == string(b) {
		return nil
	}
	return safefile.Write(m.path, b, 0o600)
}

// digest is of names and versions in order.
func digest(held map[leger.SecretName]leger.Version) string {
	lines := make([]string, 0, len(held))
	for name, v := range maps.All(held) {
		lines = append(lines, fmt.Sprintf("%s %d", name, v))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}
