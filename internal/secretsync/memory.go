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

// Memory remembers, across runs, the server's state that this machine wholly
// holds. It is one file: syncing with another server or as another user makes it
// forget, because the machine then holds that one's state. It never holds a
// value, nor a secret's name.
type Memory struct {
	path   string
	server string
	user   leger.UserID
}

// record is the file.
type record struct {
	Server string       `json:"server"`
	User   leger.UserID `json:"user_uuid"`
	ETag   string       `json:"etag"`
	Held   string       `json:"held"` // digest of names and versions on the machine
}

// NewMemory remembers in dir, for a server (its URL) and a user. Nothing is read
// or written yet.
func NewMemory(dir, server string, user leger.UserID) *Memory {
	return &Memory{path: filepath.Join(dir, memoryFile), server: server, user: user}
}

// recall gives the tag of the last sync if that was with this server and user
// (known) and the machine still holds what it left; else "". A file that cannot
// be read costs one full sync and nothing more.
func (m *Memory) recall(held map[leger.SecretName]leger.Version) (etag string, known bool) {
	b, err := os.ReadFile(m.path)
	if err != nil {
		return "", false
	}
	var r record
	if json.Unmarshal(b, &r) != nil || r.Server != m.server || r.User != m.user {
		return "", false
	}
	if r.Held != digest(held) {
		return "", true
	}
	return r.ETag, true
}

// keep writes the tag down, in place of what was remembered.
func (m *Memory) keep(etag string, held map[leger.SecretName]leger.Version) error {
	if etag == "" {
		return nil
	}
	want := record{Server: m.server, User: m.user, ETag: etag, Held: digest(held)}
	b, err := json.Marshal(want)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode the sync state")
	}
	if old, err := os.ReadFile(m.path); err == nil && string(old) == string(b) {
		return nil
	}
	if err := safefile.Write(m.path, b, 0o600); err != nil {
		return leger.Wrap(leger.CodeMissingPart, err, "the secrets are in place, but the sync state cannot be remembered").
			WithHint("is there room, and may you write to %s?", filepath.Dir(m.path))
	}
	return nil
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
