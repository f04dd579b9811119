package ledger

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"time"

	"leger.run/leger"
)

// Secrets implements leger.SecretStore.
func (s *Store) Secrets(ctx context.Context, user leger.UserID) ([]leger.SecretInfo, error) {
	var list []leger.SecretInfo
	check := listCheck{store: s}
	err := s.engine.Read(ctx, SecretsRead(user), func(r *Row) {
		if !check.there(r) {
			return
		}
		whole := r.Integer() != 0
		info := secretInfo(r, user)
		if !whole {
			check.torn(info)
		}
		check.listed(info)
		list = append(list, info)
	})
	if err := check.verdict(err, len(list)); err != nil {
		return nil, err
	}
	return list, nil
}

// listCheck finds out whether a list of secrets is whole: a secret that damage took
// out of it would look like one that was deleted, and be removed from machines.
type listCheck struct {
	store    *Store
	known    bool  // the account was found
	expected int64 // how many secrets the account counts
	last     leger.SecretName
	broken   error
}

// there reads the columns before a secret's own, and tells whether there is one.
func (c *listCheck) there(r *Row) bool {
	c.known, c.expected = true, r.Integer()
	return r.Integer() != 0
}

// listed notes a secret that does not come after the one before it: a damaged name may
// be that of another secret, which is then listed twice, and the number is right.
func (c *listCheck) listed(info leger.SecretInfo) {
	if c.last.String() != "" && info.Name.String() <= c.last.String() {
		c.broken = c.store.damaged("it lists secret %s after %s", info.Name, c.last)
	}
	c.last = info.Name
}

// torn notes a secret whose ledger row and versions do not belong together.
func (c *listCheck) torn(info leger.SecretInfo) {
	c.broken = c.store.damaged("it does not hold version %d of secret %s", info.Version, info.Name)
}

// verdict gives the error of the list, err being that of reading it.
func (c *listCheck) verdict(err error, listed int) error {
	switch {
	case err != nil:
		return err
	case !c.known:
		return noUser()
	case c.broken != nil:
		return c.broken
	case c.expected != int64(listed):
		return c.store.damaged("the account counts %d secrets, and %d are listed", c.expected, listed)
	}
	return nil
}

// holdsValue tells whether the version's row is that of the value the ledger names.
func holdsValue(s *leger.SealedSecret) bool {
	return s.ValueID != "" && s.ValueID == leger.ValueIDOf(s.Nonce)
}

// SecretsRead is what Secrets reads, for engines that can read ahead.
func SecretsRead(user leger.UserID) Statement { return statement(selectSecrets, user.String()) }

// SealedSecrets implements leger.SecretStore.
func (s *Store) SealedSecrets(ctx context.Context, user leger.UserID, give func(leger.SecretInfo) bool) ([]leger.SealedSecret, error) {
	var list []leger.SealedSecret
	listed := 0
	check := listCheck{store: s}
	err := s.read(ctx, selectSealedSecrets, []driver.Value{user.String()}, func(r *Row) {
		if !check.there(r) {
			return
		}
		sealed := sealedSecret(r, user)
		if !holdsValue(&sealed) {
			check.torn(sealed.SecretInfo)
		}
		check.listed(sealed.SecretInfo)
		listed++
		if give == nil || give(sealed.SecretInfo) {
			list = append(list, sealed)
		}
	})
	if err := check.verdict(err, listed); err != nil {
		return nil, err
	}
	return list, nil
}

// SealedSecret implements leger.SecretStore.
func (s *Store) SealedSecret(ctx context.Context, user leger.UserID, name leger.SecretName) (leger.SealedSecret, error) {
	return s.oneSealed(ctx, name, SealedSecretRead(user, name), user)
}

// SealedSecretVersion implements leger.SecretStore. UpdatedAt is when that
// version was made.
func (s *Store) SealedSecretVersion(ctx context.Context, user leger.UserID, name leger.SecretName, v leger.Version) (leger.SealedSecret, error) {
	return s.oneSealed(ctx, name, statement(selectSealedVersion, user.String(), name.String(), int64(v)), user)
}

// SealedSecretRead is what SealedSecret reads, for engines that can read ahead.
func SealedSecretRead(user leger.UserID, name leger.SecretName) Statement {
	return statement(selectSealedSecret, user.String(), name.String())
}

func (s *Store) oneSealed(ctx context.Context, name leger.SecretName, read Statement, user leger.UserID) (leger.SealedSecret, error) {
	var sealed leger.SealedSecret
	found := false
	err := s.engine.Read(ctx, read, func(r *Row) {
		sealed, found = sealedSecret(r, user), true
	})
	switch {
	case err != nil:
		return leger.SealedSecret{}, err
	case !found:
		return leger.SealedSecret{}, s.whyAbsent(ctx, user, name)
	case !holdsValue(&sealed):
		return leger.SealedSecret{}, s.damaged("it does not hold version %d of secret %s", sealed.Version, name)
	}
	return sealed, nil
}

// whyAbsent gives the error of a secret that was not found: it is not there, or its
// row was lost and its versions were not.
func (s *Store) whyAbsent(ctx context.Context, user leger.UserID, name leger.SecretName) error {
	var live, kept bool
	err := s.read(ctx, selectWhyAbsent, []driver.Value{user.String(), name.String()}, func(r *Row) {
		live, kept = r.Integer() != 0, r.Integer() != 0
	})
	if err == nil && live != kept {
		return s.damaged("its ledger and the versions it keeps disagree about secret %s", name)
	}
	if err != nil {
		return err
	}
	return leger.NoSuchSecret(name)
}

// SecretStates implements leger.SecretStore.
func (s *Store) SecretStates(ctx context.Context, user leger.UserID, names []leger.SecretName) ([]leger.SecretState, error) {
	read, err := SecretStatesRead(user, names)
	if err != nil {
		return nil, err
	}
	known := make(map[string]leger.SecretState, len(names))
	err = s.engine.Read(ctx, read, func(r *Row) {
		name := r.Text()
		state := leger.SecretState{Version: leger.Version(r.Integer()), Deleted: r.Integer() != 0}
		if !state.Deleted {
			sealed := sealedSecret(r, user)
			state.Current = &sealed
		}
		known[name] = state
	})
	if err != nil {
		return nil, err
	}
	states := make([]leger.SecretState, len(names))
	for i, name := range names {
		states[i] = known[name.String()]
	}
	return states, nil
}

// SecretStatesRead is what SecretStates reads, for engines that can read ahead.
func SecretStatesRead(user leger.UserID, names []leger.SecretName) (Statement, error) {
	asked, err := namesJSON(names)
	return statement(selectStates, user.String(), asked), err
}

// SecretVersions implements leger.SecretStore.
func (s *Store) SecretVersions(ctx context.Context, user leger.UserID, name leger.SecretName) ([]leger.SecretVersion, error) {
	var list []leger.SecretVersion
	err := s.read(ctx, selectVersions, []driver.Value{user.String(), name.String()}, func(r *Row) {
		list = append(list, leger.SecretVersion{
			Version: leger.Version(r.Integer()), CreatedAt: r.Time(), Current: r.Integer() != 0,
		})
	})
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, s.whyAbsent(ctx, user, name)
	case !list[0].Current: // the newest version is always the current one
		return nil, s.damaged("it does not hold the current version of secret %s", name)
	}
	return list, nil
}

// secretInfo reads infoColumns. A struct literal's calls run in the order they are
// written.
func secretInfo(r *Row, user leger.UserID) leger.SecretInfo {
	return leger.SecretInfo{
		ID: r.Text(), User: user, Name: parsed(r, leger.ParseSecretName), Version: leger.Version(r.Integer()),
		CreatedAt: r.Time(), UpdatedAt: r.Time(), LastAccessed: r.Time(),
		ValueID: r.Text(), Scope: r.scope(),
	}
}

// sealedSecret reads infoColumns and valueColumns.
func sealedSecret(r *Row, user leger.UserID) leger.SealedSecret {
	return leger.SealedSecret{
		SecretInfo: secretInfo(r, user),
		Ciphertext: r.bytes(), Nonce: r.bytes(), EncryptionVersion: int(r.Integer()), KeyID: r.Text(),
	}
}

func namesJSON(names []leger.SecretName) (string, error) {
	b, err := json.Marshal(names)
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "list the names")
	}
	return string(b), nil
}

// KeyIDs gives the ids of all keys that kept versions are sealed with, of all
// users: what the key ring must hold.
func (s *Store) KeyIDs(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.read(ctx, selectKeyIDs, nil, func(r *Row) {
		ids = append(ids, r.Text())
	})
	return ids, err
}

// DeletedSecret names a secret that is gone.
type DeletedSecret struct {
	User leger.UserID
	Name leger.SecretName
}

// Deleted gives what was deleted since then and is gone still, for stores that
// keep copies elsewhere: at most a thousand secrets and as many accounts.
func (s *Store) Deleted(ctx context.Context, since time.Time) (secrets []DeletedSecret, users []leger.UserID, err error) {
	err = s.read(ctx, selectDeletedSecrets, []driver.Value{Timestamp(since), string(leger.ActionSecretDelete)}, func(r *Row) {
		secrets = append(secrets, DeletedSecret{User: parsed(r, leger.ParseUserID), Name: parsed(r, leger.ParseSecretName)})
	})
	if err != nil {
		return nil, nil, err
	}
	err = s.read(ctx, selectDeletedUsers, []driver.Value{Timestamp(since), string(leger.ActionUserDelete)}, func(r *Row) {
		users = append(users, parsed(r, leger.ParseUserID))
	})
	return secrets, users, err
}
