package report

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
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/wire"
)

const (
	// every is how long a machine on which nothing changes says nothing: a sync in
	// between is one request to the server.
	every = 10 * time.Minute
	// retryAfter is how long a command that only looked does not try again when the
	// server did not take the last report: without a network each would wait for nothing.
	retryAfter = time.Minute
)

// record is what was last reported, without a secret's name.
type record struct {
	Server   string       `json:"server"`
	User     leger.UserID `json:"user_uuid"`
	DeviceID string       `json:"device_id"`
	At       time.Time    `json:"at"`
	Held     string       `json:"held"` // digest of names and versions, or of what runs
	Failed   bool         `json:"failed,omitempty"`
}

// newRecord begins the record of a report from this machine; path is where the
// last one of its kind is kept.
func (r *Reporter) newRecord(file string) (now record, path string, err error) {
	device, err := r.id()
	if err != nil {
		return now, "", err
	}
	now = record{Server: r.in.Server, User: r.in.UserUUID, DeviceID: device, At: r.cfg.Now().UTC()}
	return now, filepath.Join(r.cfg.StateDir, file), nil
}

// due reports whether now is not what the file says, or the file is old. One that
// cannot be read costs a report.
func (now record) due(path string) bool {
	last, ok := readRecord(path)
	age := now.At.Sub(last.At)
	last.At = now.At
	return !ok || last != now || age < 0 || age >= every
}

// failedLately reports whether the last report, to the same server, failed just
// now.
func (now record) failedLately(path string) bool {
	last, ok := readRecord(path)
	age := now.At.Sub(last.At)
	return ok && last.Failed && last.Server == now.Server && age >= 0 && age < retryAfter
}

func readRecord(path string) (last record, ok bool) {
	b, err := os.ReadFile(path) //nolint:gosec // the user's own file
	return last, err == nil && json.Unmarshal(b, &last) == nil
}

func (now record) keep(path string) error {
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return safefile.Write(path, b, 0o600)
}

func heldDigest(held map[leger.SecretName]leger.Version) string {
	h := sha256.New()
	for _, name := range sortedNames(held) {
		_, _ = fmt.Fprintf(h, "%s %d\n", name, held[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digest tells reports apart without keeping what is in them.
func digest(report wire.HostReport) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(report) // strings and numbers, into memory
	return hex.EncodeToString(h.Sum(nil))
}

func sortedNames(held map[leger.SecretName]leger.Version) []leger.SecretName {
	return slices.SortedFunc(maps.Keys(held), func(x, y leger.SecretName) int { return strings.Compare(x.String(), y.String()) })
}
