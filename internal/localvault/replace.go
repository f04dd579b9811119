package localvault

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tailscale/setec/db"
	"github.com/tailscale/setec/types/api"

	"leger.run/leger"
)

// replacing begins the names under which a value waits while it takes the place of
// another one of the same version number.
const replacing = "leger-replacing/"

// Replace stores a value under a version number that may have had another value,
// and makes it the active one. setec takes no number twice for as long as the
// secret exists, so the secret is made anew, without its former versions.
//
// Wherever it is cut, the secret has its old or its new value: the new one is
// written under another name before the old one is deleted, and whoever opens the
// store next puts it in place. ErrInvalid for a number that the store does not
// take; ErrUnavailable when the disk does not let us.
func (s *Store) Replace(user leger.UserID, name leger.SecretName, v leger.Version, value leger.Plaintext) error {
	n, err := setecVersion(v)
	if err != nil {
		return err
	}
	stored := StoredName(user, name)
	err = s.write(stored, func(d *db.DB) error {
		waiting := replacing + stored
		if err := d.Delete(self(), waiting); err != nil { // of an attempt that failed
			return err
		}
		if err := d.CreateVersion(self(), waiting, n, value.Reveal()); err != nil {
			return err
		}
		s.unfinished = true
		if err := d.Delete(self(), stored); err != nil {
			return err
		}
		return s.finish(d)
	})
	if err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "store %s", name).WithHint("is there room on the disk?")
	}
	return nil
}

// finish ends replacements that were cut. A secret that is still there has kept its
// old value or has its new one already; one that is not gets the value that waits
// for it. It fails when that cannot be written: until it can, nothing may be read
// from the store, because the secret would look deleted.
func (s *Store) finish(d *db.DB) error {
	infos, err := d.List(self())
	if err != nil {
		return err
	}
	s.unfinished = false
	for _, info := range infos {
		stored, waits := waitsFor(info.Name)
		if !waits {
			continue
		}
		if _, there := d.Info(self(), stored); errors.Is(there, db.ErrNotFound) {
			if e := putInPlace(d, stored, info.Name); e != nil {
				s.unfinished = true
				err = errors.Join(err, fmt.Errorf("put the value of %s in place: %w", stored, e))
				continue
			}
		}
		// What is left of the copy does no harm, and is removed the next time.
		if d.Delete(self(), info.Name) != nil {
			s.unfinished = true
		}
	}
	return err
}

// waitsFor gives the name of the secret that a value waits for.
func waitsFor(name string) (stored string, ok bool) {
	stored, ok = strings.CutPrefix(name, replacing)
	if ok {
		_, _, ok = ParseStoredName(stored)
	}
	return stored, ok
}

func putInPlace(d *db.DB, stored, waiting string) error {
	value, err := d.Get(self(), waiting)
	if err != nil {
		return err
	}
	return d.CreateVersion(self(), stored, value.Version, value.Value)
}

// withoutOurs leaves out values that only wait, and the key of the digests.
func withoutOurs(infos []*api.SecretInfo) []*api.SecretInfo {
	out := infos[:0]
	for _, i := range infos {
		if _, waits := waitsFor(i.Name); !waits && i.Name != digestKeyName {
			out = append(out, i)
		}
	}
	return out
}
