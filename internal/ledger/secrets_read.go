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
	err := s.engine.Read(ctx, SecretsRead(user), func(r *Row) {
		list = append(list, secretInfo(r, user))
	})
	return list, err
}

// SecretsRead is what Secrets reads, for engines that can read ahead.
func SecretsRead(user leger.UserID) Statement { return statement(selectSecrets, user.String()) }

// SealedSecrets implements leger.SecretStore.
func (s *Store) SealedSecrets(ctx context.Context, user leger.UserID) ([]leger.SealedSecret, error) {
	var list []leger.SealedSecret
	err := s.read(ctx, selectSealedSecrets, []driver.Value{user.String()}, func(r *Row) {
		list = append(list, sealedSecret(r, user))
	})
	return list, err
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
	if err == nil && !found {
		err = noSecret(name)
	}
	if err != nil {
		return leger.SealedSecret{}, err
	}
	return sealed, nil
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
	if err == nil && len(list) == 0 {
		err = noSecret(name)
	}
	return list, err
}

// secretInfo reads the first six of sealedColumns. A struct literal's calls run
// in the order they are written.
func secretInfo(r *Row, user leger.UserID) leger.SecretInfo {
	return leger.SecretInfo{
		ID: r.Text(), User: user, Name: parsed(r, leger.ParseSecretName), Version: leger.Version(r.Integer()),
		CreatedAt: r.Time(), UpdatedAt: r.Time(), LastAccessed: r.Time(),
	}
}

// sealedSecret reads sealedColumns.
func sealedSecret(r *Row, user leger.UserID) leger.SealedSecret {
	return leger.SealedSecret{
		SecretInfo: secretInfo(r, user),
		Ciphertext: r.bytes(), Nonce: r.bytes(), EncryptionVersion: int(r.Integer()), KeyID: r.Text(),
	}
}

func noSecret(name leger.SecretName) error {
	return leger.Errorf(leger.CodeNotFound, "there is no secret %s, or not that version of it", name).
		WithHint("leger secrets list")
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
