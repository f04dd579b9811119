package localvault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/tailscale/setec/acl"
	"github.com/tailscale/setec/audit"
	"github.com/tailscale/setec/db"
	"github.com/tailscale/setec/types/api"

	"leger.run/leger"
	"leger.run/leger/internal/lockfile"
	"leger.run/leger/internal/safefile"
)

// Config says what to open.
type Config struct {
	// Dir is the data directory. It is made 0700 if it does not exist and refused if
	// others may enter it.
	Dir string
	// Key opens the store, and makes it when it does not exist.
	Key Key
	// Own: Key is the file in Dir, which Rekey may replace.
	Own bool
	// From says in words, for messages, where Key is from.
	From string
	// Former, if not nil, is the key that Key takes the place of: a store that it opens is
	// sealed with Key.
	Former *Key
	// Random is where new keys come from. nil: crypto/rand.Reader.
	Random io.Reader

	step func(string) // told how far Rekey is, in tests
}

// Store is the machine's encrypted store. It is safe for concurrent use.
type Store struct {
	dir     string
	held    *lockfile.Lock
	changed chan struct{}

	digests digester
	own     bool
	from    string
	random  io.Reader
	step    func(string)

	mu         sync.Mutex
	db         *db.DB
	key        Key
	unfinished bool // a replacement was cut: see finish
}

// Secret is what the store knows of one of Leger's secrets without its value.
type Secret struct {
	Name    leger.SecretName
	Version leger.Version // the active one
	// Digest tells this value from every other value of the secret. It is keyed with
	// the store's key and reveals nothing without it.
	Digest string
}

// Open opens the store for this process alone, or makes an empty one. ErrConflict:
// another process has it open (the message names it). ErrInvalid: the key does
// not open it, or others may enter its directory; nothing was changed then.
// ErrUnavailable: the disk does not let us.
func Open(cfg Config) (*Store, error) {
	if err := makePrivateDir(cfg.Dir); err != nil {
		return nil, err
	}
	held, err := lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s, err := open(cfg)
	if err != nil {
		return nil, errors.Join(err, held.Release())
	}
	s.held = held
	return s, nil
}

// Exists reports whether there is a store in the data directory. ErrUnavailable when the
// disk does not say.
func Exists(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, databaseFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, leger.WrapFile(leger.CodeUnavailable, err, "look for the store")
	}
	return true, nil
}

// open does as Open for who holds the lock.
func open(cfg Config) (*Store, error) {
	if err := sweepError(sweep(cfg.Dir)); err != nil {
		return nil, err
	}
	key, err := cfg.settle()
	if err != nil {
		return nil, err
	}
	database, err := openDatabase(filepath.Join(cfg.Dir, databaseFile), key)
	if err != nil {
		return nil, err
	}
	digests, err := digesterOf(database, key)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: cfg.Dir, changed: make(chan struct{}, 1), digests: digests,
		own: cfg.Own, from: cfg.From, random: cfg.Random, step: cfg.step, db: database, key: key,
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.step == nil {
		s.step = func(string) {}
	}
	s.unfinished = true // an earlier process may have been cut
	return s, nil
}

func sweepError(err error) error {
	if err == nil {
		return nil
	}
	return leger.WrapFile(leger.CodeUnavailable, err, "remove what an interrupted write left behind")
}

func openError(path string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return leger.WrapFile(leger.CodeUnavailable, err, "make the store")
	}
	return leger.Wrap(leger.CodeInvalid, err, "the key does not open the store %s: it was made with another key, or it is damaged", path).
		WithHint("legerd looks for the key in LEGERD_KEY, LEGERD_KEY_FILE, the credential legerd-key and then in the data directory: give it the one the store was sealed with, or that one as LEGERD_KEY_PREVIOUS beside a new one")
}

// Close lets go of the store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	s.db = nil
	if err := s.held.Release(); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "close the store")
	}
	return nil
}

// Changed gets a value after a write to one of Leger's secrets, and one value for
// many writes if nobody listened meanwhile.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// Secrets lists the user's secrets, in order of name.
func (s *Store) Secrets(user leger.UserID) ([]Secret, error) {
	var out []Secret
	err := s.with(func(d *db.DB) error {
		infos, err := d.List(self())
		if err != nil {
			return err
		}
		for _, info := range infos {
			owner, name, ok := ParseStoredName(info.Name)
			if !ok || owner != user {
				continue
			}
			v, err := d.Get(self(), info.Name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, Secret{Name: name, Version: leger.Version(v.Version), Digest: s.digests.of(user, name, v.Value)})
			clear(v.Value)
		}
		return nil
	})
	if err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "list the store")
	}
	return out, nil
}

// Digest is Secret.Digest of a value that is given.
func (s *Store) Digest(user leger.UserID, name leger.SecretName, value leger.Plaintext) string {
	return s.digests.of(user, name, value.Reveal())
}

// Value gives the active value of a user's secret. ErrNotFound.
func (s *Store) Value(user leger.UserID, name leger.SecretName) (leger.Plaintext, leger.Version, error) {
	v, err := s.get(api.GetRequest{Name: StoredName(user, name)})
	switch {
	case errors.Is(err, db.ErrNotFound):
		return leger.Plaintext{}, 0, leger.Errorf(leger.CodeNotFound, "the machine has no secret %s", name)
	case err != nil:
		return leger.Plaintext{}, 0, leger.Wrap(leger.CodeUnavailable, err, "read the secret %s", name)
	}
	return leger.NewPlaintext(v.Value), leger.Version(v.Version), nil
}

// errClosed is for requests that outlive the store.
var errClosed = errors.New("the store is closed")

func (s *Store) list() (infos []*api.SecretInfo, err error) {
	err = s.with(func(d *db.DB) error { infos, err = d.List(self()); return err })
	return withoutOurs(infos), err
}

func (s *Store) info(r api.InfoRequest) (info *api.SecretInfo, err error) {
	err = s.with(func(d *db.DB) error {
		if r.Name == digestKeyName {
			return db.ErrNotFound
		}
		info, err = d.Info(self(), r.Name)
		return err
	})
	return info, err
}

func (s *Store) get(r api.GetRequest) (v *api.SecretValue, err error) {
	err = s.with(func(d *db.DB) error {
		switch {
		case r.Name == digestKeyName:
			return db.ErrNotFound
		case r.Version == api.SecretVersionDefault:
			v, err = d.Get(self(), r.Name)
		case r.UpdateIfChanged:
			v, err = d.GetConditional(self(), r.Name, r.Version)
		default:
			v, err = d.GetVersion(self(), r.Name, r.Version)
		}
		return err
	})
	return v, err
}

func (s *Store) put(r api.PutRequest) (v api.SecretVersion, err error) {
	err = s.write(r.Name, func(d *db.DB) error {
		// The version after the last one would be 0, which means "none".
		if err := roomForVersion(d, r.Name); err != nil {
			return err
		}
		v, err = d.Put(self(), r.Name, r.Value)
		return err
	})
	return v, err
}

// roomForVersion refuses to count past the last version number: setec would wrap
// around to 0.
func roomForVersion(d *db.DB, name string) error {
	info, err := d.Info(self(), name)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err == nil && len(info.Versions) > 0 && info.Versions[len(info.Versions)-1] == math.MaxUint32 {
		err = errors.New("no version numbers are left")
	}
	return err
}

func (s *Store) createVersion(r api.CreateVersionRequest) error {
	return s.write(r.Name, func(d *db.DB) error { return d.CreateVersion(self(), r.Name, r.Version, r.Value) })
}

func (s *Store) activate(r api.ActivateRequest) error {
	return s.write(r.Name, func(d *db.DB) error { return d.Activate(self(), r.Name, r.Version) })
}

func (s *Store) deleteVersion(r api.DeleteVersionRequest) error {
	return s.write(r.Name, func(d *db.DB) error { return d.DeleteVersion(self(), r.Name, r.Version) })
}

func (s *Store) delete(r api.DeleteRequest) error {
	return s.write(r.Name, func(d *db.DB) error { return d.Delete(self(), r.Name) })
}

// self is the one caller there is: whoever reaches the store is its owner.
func self() db.Caller {
	return db.Caller{
		Principal: audit.Principal{Hostname: "localhost"},
		Permissions: acl.Rules{{
			Action: []acl.Action{acl.ActionGet, acl.ActionInfo, acl.ActionPut, acl.ActionCreateVersion, acl.ActionActivate, acl.ActionDelete},
			Secret: []acl.Secret{"*"},
		}},
	}
}

// with runs do alone: setec's audit writer is not made for several at once.
func (s *Store) with(do func(*db.DB) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed
	}
	if s.unfinished {
		if err := s.finish(s.db); err != nil {
			return err
		}
	}
	return do(s.db)
}

// write does as with, and then sees to it that the change survives power loss:
// setec writes a new file and renames it, but leaves the directory to the kernel.
func (s *Store) write(name string, do func(*db.DB) error) error {
	return s.with(func(d *db.DB) error {
		if name == digestKeyName {
			return db.ErrAccessDenied
		}
		before := d.WriteGen()
		if err := do(d); err != nil {
			return err
		}
		if d.WriteGen() == before {
			return nil
		}
		if _, _, ours := ParseStoredName(name); ours {
			select {
			case s.changed <- struct{}{}:
			default:
			}
		}
		if err := safefile.Sync(s.dir); err != nil {
			return fmt.Errorf("make the write durable: %w", err)
		}
		return nil
	})
}
