package localvault

import (
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tailscale/setec/audit"
	"github.com/tailscale/setec/db"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// nextKeyFile holds the key that takes the place of keyFile: from the decision to change
// the key until the store that is sealed with the new one is on the disk.
const nextKeyFile = "key.new"

// Rekeyed is what a Rekey did.
type Rekeyed struct {
	KeyFile string `json:"key_file"` // where the new key is
}

// Rekey makes a new key, seals the store with it and destroys the former key, which lies
// in the data directory. Values, versions and digests stay: nobody who reads the store
// notices.
//
// Cut anywhere, the store opens with one of the keys that are there, and the next Open or
// Rekey finishes. The former key goes only when the store that the new one opens is on the
// disk. ErrConflict for a key that was given from elsewhere: the new one is its giver's to
// make (see Config.Former). ErrUnavailable when the disk does not let us.
func (s *Store) Rekey() (Rekeyed, error) {
	out := Rekeyed{KeyFile: filepath.Join(s.dir, keyFile)}
	if !s.own {
		return out, leger.Errorf(leger.CodeConflict, "legerd was given the key of its store (%s): the new one is yours to make", s.from).
			WithHint("give legerd the new key there (head -c %d /dev/urandom | base64) and the former one as "+
				"LEGERD_KEY_PREVIOUS or as the credential %s, and restart it: it seals the store anew at its start", KeySize, formerCredential)
	}
	err := s.with(func(d *db.DB) error {
		if err := keepDigestKey(d, s.digests); err != nil {
			return leger.Wrap(leger.CodeUnavailable, err, "keep the key of the digests").WithHint("is there room on the disk?")
		}
		return s.changeKey()
	})
	if _, told := errors.AsType[*leger.Error](err); err != nil && !told {
		err = leger.Wrap(leger.CodeUnavailable, err, "change the key of the store")
	}
	return out, err
}

// changeKey makes the new key, seals the store with it and then forgets the former one.
// The caller holds s.mu.
func (s *Store) changeKey() error {
	if err := s.resume(); err != nil {
		return err
	}
	s.step("begun")
	next, err := newKey(s.random)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(s.dir, nextKeyFile), next); err != nil {
		return err
	}
	s.step("key written")
	// After an error from here on the store goes on with the former key. It is still there;
	// so is the new one, which opens the file if that was replaced and not written since.
	if err := reseal(filepath.Join(s.dir, databaseFile), s.key, next); err != nil {
		return err
	}
	s.step("store written")
	if err := s.adopt(next); err != nil {
		return err
	}
	s.step("done")
	return nil
}

// resume finishes a change of the key that failed, before another one begins: the key that
// it made may be the only one that opens the file.
func (s *Store) resume() error {
	file, err := readSealed(filepath.Join(s.dir, databaseFile))
	if err != nil {
		return err
	}
	if file.opensWith(s.key) {
		return settleKeyFile(s.dir, s.key)
	}
	next, err := readKey(filepath.Join(s.dir, nextKeyFile), false)
	if err != nil || !file.opensWith(next) {
		return leger.Errorf(leger.CodeConflict, "the store in %s was replaced while legerd had it open", s.dir).
			WithHint("restart legerd, and look whether it opens the store")
	}
	return s.adopt(next)
}

// adopt goes over to the key that opens the file now. The former one goes.
func (s *Store) adopt(next Key) error {
	database, err := openDatabase(filepath.Join(s.dir, databaseFile), next)
	if err != nil {
		return err
	}
	s.db, s.key = database, next
	return settleKeyFile(s.dir, next)
}

// settle decides which key opens the store, and finishes the change of a key that was cut
// or that whoever gives the key asked for. The caller holds the store's lock.
func (cfg Config) settle() (Key, error) {
	path := filepath.Join(cfg.Dir, databaseFile)
	s, err := readSealed(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg.Key, nil
	}
	if err != nil {
		return cfg.Key, err
	}
	keys := []Key{cfg.Key}
	if cfg.Own {
		// The key may have been changed since it was read: that was before the lock.
		for _, name := range []string{keyFile, nextKeyFile} {
			if k, err := readKey(filepath.Join(cfg.Dir, name), false); err == nil {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		if !s.opensWith(k) {
			continue
		}
		if cfg.Own {
			err = settleKeyFile(cfg.Dir, k)
		}
		return k, err
	}
	if cfg.Former != nil && s.opensWith(*cfg.Former) {
		return cfg.Key, cfg.leave(path)
	}
	return cfg.Key, nil // which opens nothing: setec says so
}

// leave seals the store, which the former key opens, with the key.
func (cfg Config) leave(path string) error {
	database, err := openDatabase(path, *cfg.Former)
	if err != nil {
		return err
	}
	digests, err := digesterOf(database, *cfg.Former)
	if err != nil {
		return err
	}
	if err := keepDigestKey(database, digests); err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "keep the key of the digests").WithHint("is there room on the disk?")
	}
	return reseal(path, *cfg.Former, cfg.Key)
}

// settleKeyFile ends a change of the key, after which key opens the store: a next key that
// is this one takes its place, another one opens nothing and goes.
func settleKeyFile(dir string, key Key) error {
	from, to := filepath.Join(dir, nextKeyFile), filepath.Join(dir, keyFile)
	next, err := readKey(from, false)
	switch {
	case errors.Is(err, leger.ErrNotFound):
		return nil
	case err == nil && next == key:
		err = safefile.Rename(from, to)
	case err == nil || errors.Is(err, leger.ErrInvalid):
		if err = os.Remove(from); err == nil {
			err = safefile.Sync(dir)
		}
	}
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "put the new key in its place")
	}
	return nil
}

func newKey(random io.Reader) (k Key, err error) {
	if _, err := io.ReadFull(random, k.b[:]); err != nil {
		return Key{}, leger.Wrap(leger.CodeInternal, err, "read random bytes")
	}
	return k, nil
}

func (k Key) text() []byte { return []byte(base64.StdEncoding.EncodeToString(k.b[:]) + "\n") }

func writeKey(path string, k Key) error {
	if err := safefile.Write(path, k.text(), 0o600); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "write a new key")
	}
	return nil
}

// openDatabase opens setec's database. It writes an audit line for each access; who asks is
// always this one user, and the daemon logs what it does, so they go nowhere.
func openDatabase(path string, k Key) (*db.DB, error) {
	cipher, err := k.aead()
	if err != nil {
		return nil, err
	}
	database, err := db.Open(path, cipher, audit.New(io.Discard))
	if err != nil {
		return nil, openError(path, err)
	}
	return database, nil
}
