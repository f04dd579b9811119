package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
)

// rekeyFile is there, in the data directory, from the decision to change the key until
// every record is sealed with the new one.
const rekeyFile = "rekey.json"

// rekeyMark is rekey.json: it tells a rekey that goes on from one that begins.
type rekeyMark struct {
	From string `json:"from"` // id of the key that was current
}

// rotation changes the keys of an open store. The process that has the store
// has one of these.
type rotation struct {
	program
	data  string
	vault *vault.Vault
	store *sqlite.Store
	// useSecret makes a shared secret the one that tokens are checked with.
	useSecret func(token.Secret)

	turn chan struct{} // holds one element while the key changes
}

// rekeyed is what a rekey did.
type rekeyed struct {
	KeyID    string   `json:"key_id"`            // the key that seals every record now
	Former   []string `json:"former,omitempty"`  // ids of the keys that seal none any more
	Resealed int      `json:"resealed"`          // records sealed anew by this run
	Made     bool     `json:"made,omitempty"`    // a new key was made by this run
	Resumed  bool     `json:"resumed,omitempty"` // an earlier run had been interrupted
}

// turnWait is how long a command waits for another: one whose caller was killed notices
// it after its current batch.
const turnWait = 5 * time.Second

// begin takes the turn, or says that another has it.
func (r *rotation) begin(ctx context.Context) (end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, leger.Errorf(leger.CodeConflict, "the keys are being changed by another command").
			WithHint("wait until it has finished")
	}
}

// rekey makes a new key and seals every record with it, or goes on with a rekey that was
// interrupted. tell is called with the number of records passed, of total.
func (r *rotation) rekey(ctx context.Context, tell func(passed, total int)) (out rekeyed, err error) {
	end, err := r.begin(ctx)
	if err != nil {
		return out, err
	}
	defer end()
	ring, err := r.switchKey(ctx, &out)
	if err != nil {
		return out, err
	}
	// From here on nothing is sealed with a former key, whatever happens to this process:
	// the new key is on the disk.
	r.vault.UseKeys(ring)
	counts, err := r.store.Counts(ctx)
	if err != nil {
		return out, err
	}
	out.Resealed, err = r.vault.Reseal(ctx, r.store, func(passed int) { tell(passed, int(counts.SecretVersions)) })
	if err != nil {
		return out, err
	}
	if err := r.store.OpenAuditKey(ctx, ring, r.random); err != nil { // seals it anew
		return out, err
	}
	if err := r.onlyCurrent(ctx, ring); err != nil {
		return out, err
	}
	out.KeyID = ring.CurrentID()
	for _, id := range ring.IDs() {
		if id != out.KeyID {
			out.Former = append(out.Former, id)
		}
	}
	return out, r.finish(ctx, out)
}

// finish records the change in every owner's audit log, and that it is over.
func (r *rotation) finish(ctx context.Context, out rekeyed) error {
	event := leger.AuditEvent{
		At: r.now(), Action: leger.ActionKeyRotate, Credential: leger.CredentialOperator, Detail: "key " + out.KeyID,
	}
	if err := r.store.RecordForAll(ctx, event); err != nil {
		return err
	}
	return removeFile(filepath.Join(r.data, rekeyFile))
}

// switchKey gives the ring to seal with, after writing a new key to the data directory
// unless one is already there that not every record is sealed with.
func (r *rotation) switchKey(ctx context.Context, out *rekeyed) (*vault.KeyRing, error) {
	keys, ring, err := r.existingKeys(r.data)
	if err != nil {
		return nil, err
	}
	mark, err := r.mark()
	if err != nil {
		return nil, err
	}
	switched := mark.From != "" && mark.From != ring.CurrentID()
	other, err := r.otherKey(ctx, ring)
	if err != nil {
		return nil, err
	}
	if switched || (mark.From == "" && other != "") {
		out.Resumed = true
		return ring, nil
	}
	if given, err := r.lookup("ENCRYPTION_KEY"); err != nil || given != "" {
		return nil, errors.Join(err, leger.Errorf(leger.CodeConflict,
			"ENCRYPTION_KEY is set outside the data directory, and every record is sealed with it: the new key is yours to set").
			WithHint("set ENCRYPTION_KEY to a new key (openssl rand -base64 32) and ENCRYPTION_KEY_PREVIOUS to the key in use now, "+
				"restart the server, and run leger-server rekey again"))
	}
	text, err := vault.NewKey(r.random)
	if err != nil {
		return nil, err
	}
	if err := r.setMark(rekeyMark{From: ring.CurrentID()}); err != nil {
		return nil, err
	}
	if err := r.writeKeys(text, keys.Encryption, keys.Previous); err != nil {
		return nil, err
	}
	out.Made = true
	_, ring, err = r.existingKeys(r.data)
	return ring, err
}

// writeKeys writes the former keys first: whatever is cut, every key that seals a record
// is in one of the two files.
func (r *rotation) writeKeys(text string, former, previous leger.Plaintext) error {
	list := append(splitKeys(string(previous.Reveal())), strings.TrimSpace(string(former.Reveal())))
	slices.Sort(list)
	list = slices.Compact(list)
	for _, f := range []struct{ name, text string }{
		{previousKeysFile, strings.Join(list, "\n")}, {encryptionKeyFile, text},
	} {
		path := filepath.Join(r.data, f.name)
		if err := safefile.Write(path, []byte(f.text+"\n"), 0o600); err != nil {
			return leger.WrapFile(leger.CodeUnavailable, err, "write %s", path)
		}
	}
	return nil
}

// otherKey gives the id of a key, other than the ring's current one, that seals a record;
// "" when there is none.
func (r *rotation) otherKey(ctx context.Context, ring *vault.KeyRing) (string, error) {
	ids, err := r.store.KeyIDs(ctx)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		if id != ring.CurrentID() {
			return id, nil
		}
	}
	return "", nil
}

// onlyCurrent fails with ErrPartial when a record is sealed with another key than the
// ring's current one.
func (r *rotation) onlyCurrent(ctx context.Context, ring *vault.KeyRing) error {
	other, err := r.otherKey(ctx, ring)
	if err == nil && other != "" {
		err = leger.Errorf(leger.CodePartial, "there are records that are still sealed with the key %s", other).
			WithHint("run: leger-server rekey")
	}
	return err
}

// forget removes the former keys from the data directory, once no record needs them.
func (r *rotation) forget(ctx context.Context) (ids []string, err error) {
	end, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	_, ring, err := r.existingKeys(r.data)
	if err != nil {
		return nil, err
	}
	if mark, err := r.mark(); err != nil || mark.From != "" {
		return nil, errors.Join(err, leger.Errorf(leger.CodePartial, "a rekey was interrupted").WithHint("run: leger-server rekey"))
	}
	if err := r.onlyCurrent(ctx, ring); err != nil {
		return nil, err
	}
	for _, id := range ring.IDs() {
		if id != ring.CurrentID() {
			ids = append(ids, id)
		}
	}
	return ids, removeFile(filepath.Join(r.data, previousKeysFile))
}

func (r *rotation) mark() (m rekeyMark, err error) {
	path := filepath.Join(r.data, rekeyFile)
	text, err := os.ReadFile(path) //nolint:gosec // G304: the server's own file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return m, leger.WrapFile(leger.CodeUnavailable, err, "read %s", path)
	case json.Unmarshal(text, &m) != nil:
		return m, leger.Errorf(leger.CodeInternal, "%s is damaged", path).WithHint("remove it, and run leger-server rekey again")
	}
	return m, nil
}

func (r *rotation) setMark(m rekeyMark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "write %s", rekeyFile)
	}
	path := filepath.Join(r.data, rekeyFile)
	if err := safefile.Write(path, text, 0o600); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "write %s", path)
	}
	return nil
}

// removeFile removes a file, if it is there, so that it stays away.
func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = safefile.SyncParent(path)
	}
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "remove %s", path)
	}
	return nil
}
