package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"

	"leger.run/leger"
)

// Secrets implements leger.SecretStore.
func (s *Store) Secrets(ctx context.Context, user leger.UserID) ([]leger.SecretInfo, error) {
	var list []leger.SecretInfo
	err := s.read(ctx, selectSecrets, []driver.Value{user.String()}, func(r *row) error {
		list = append(list, secretInfo(r, user))
		return nil
	})
	return list, err
}

// SealedSecrets implements leger.SecretStore.
func (s *Store) SealedSecrets(ctx context.Context, user leger.UserID) ([]leger.SealedSecret, error) {
	var list []leger.SealedSecret
	err := s.read(ctx, selectSealedSecrets, []driver.Value{user.String()}, func(r *row) error {
		list = append(list, sealedSecret(r, user))
		return nil
	})
	return list, err
}

// SealedSecret implements leger.SecretStore.
func (s *Store) SealedSecret(ctx context.Context, user leger.UserID, name leger.SecretName) (leger.SealedSecret, error) {
	return s.oneSealed(ctx, user, name, selectSealedSecret, user.String(), name.String())
}

// SealedSecretVersion implements leger.SecretStore. UpdatedAt is when that
// version was made.
func (s *Store) SealedSecretVersion(ctx context.Context, user leger.UserID, name leger.SecretName, v leger.Version) (leger.SealedSecret, error) {
	return s.oneSealed(ctx, user, name, selectSealedVersion, user.String(), name.String(), int64(v))
}

func (s *Store) oneSealed(ctx context.Context, user leger.UserID, name leger.SecretName, text string, args ...driver.Value) (leger.SealedSecret, error) {
	var sealed leger.SealedSecret
	found := false
	err := s.read(ctx, text, args, func(r *row) error {
		sealed, found = sealedSecret(r, user), true
		return nil
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
	asked, err := namesJSON(names)
	if err != nil {
		return nil, err
	}
	known := make(map[string]leger.SecretState, len(names))
	err = s.read(ctx, selectStates, []driver.Value{user.String(), asked}, func(r *row) error {
		name := r.text()
		state := leger.SecretState{Version: leger.Version(r.integer()), Deleted: r.integer() != 0}
		if !state.Deleted {
			sealed := sealedSecret(r, user)
			state.Current = &sealed
		}
		known[name] = state
		return nil
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

// SecretVersions implements leger.SecretStore.
func (s *Store) SecretVersions(ctx context.Context, user leger.UserID, name leger.SecretName) ([]leger.SecretVersion, error) {
	var list []leger.SecretVersion
	err := s.read(ctx, selectVersions, []driver.Value{user.String(), name.String()}, func(r *row) error {
		list = append(list, leger.SecretVersion{
			Version: leger.Version(r.integer()), CreatedAt: r.time(), Current: r.integer() != 0,
		})
		return nil
	})
	if err == nil && len(list) == 0 {
		err = noSecret(name)
	}
	return list, err
}

// secretInfo reads the first six of sealedColumns. A struct literal's calls run
// in the order they are written.
func secretInfo(r *row, user leger.UserID) leger.SecretInfo {
	return leger.SecretInfo{
		ID: r.text(), User: user, Name: parsed(r, leger.ParseSecretName), Version: leger.Version(r.integer()),
		CreatedAt: r.time(), UpdatedAt: r.time(), LastAccessed: r.time(),
	}
}

// sealedSecret reads sealedColumns.
func sealedSecret(r *row, user leger.UserID) leger.SealedSecret {
	return leger.SealedSecret{
		SecretInfo: secretInfo(r, user),
		Ciphertext: r.bytes(), Nonce: r.bytes(), EncryptionVersion: int(r.integer()), KeyID: r.text(),
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
	err := s.read(ctx, selectKeyIDs, nil, func(r *row) error {
		ids = append(ids, r.text())
		return nil
	})
	return ids, err
}
