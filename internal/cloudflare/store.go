package cloudflare

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
)

const (
	// maxKeys is how many keys one bulk read of KV takes
	// (https://developers.cloudflare.com/kv/api/read-key-value-pairs/).
	maxKeys = 100

	// maxValues bounds the sealed values of one answer, in bytes: an isolate has
	// 128 MB, and each value is there several times on its way out.
	maxValues = 12 << 20

	// sweepBack is how far back Prune looks for deletions whose KV copies may have
	// outlived them; it runs every hour.
	sweepBack = 3 * time.Hour
)

// Store implements leger's stores on D1, which is the ledger and decides, with
// copies in KV of what the specification keeps there. A copy is written after the
// ledger and counts only when it is of the version that the ledger names, so a
// lost or late write of KV is never seen: it is mended by the next read.
type Store struct {
	*ledger.Store
	engine   *d1
	bindings Bindings
	now      func() time.Time
	log      *slog.Logger
	// keys are nil until Check: every copy that is current is believed then.
	keys atomic.Pointer[Keys]
}

// NewStore makes a store; the database must have the schema of package
// migrations. log takes the KV trouble that no caller has to know of.
func NewStore(b Bindings, now func() time.Time, log *slog.Logger) *Store {
	engine := &d1{bindings: b}
	return &Store{Store: ledger.New(engine, now), engine: engine, bindings: b, now: now, log: log}
}

var (
	_ leger.SecretStore   = (*Store)(nil)
	_ leger.UserStore     = (*Store)(nil)
	_ leger.SessionStore  = (*Store)(nil)
	_ leger.OperatorStore = (*Store)(nil)
)

// SealedSecrets implements leger.SecretStore: versions from the ledger, values
// from KV, and from the ledger where the copy is not of that version.
// ErrTooLarge when the values together are more than one answer can hold here.
func (s *Store) SealedSecrets(ctx context.Context, user leger.UserID, give func(leger.SecretInfo) bool) ([]leger.SealedSecret, error) {
	infos, err := s.Secrets(ctx, user)
	if give != nil {
		infos = slices.DeleteFunc(infos, func(s leger.SecretInfo) bool { return !give(s) })
	}
	if err != nil || len(infos) == 0 {
		return nil, err
	}
	list := make([]leger.SealedSecret, len(infos))
	var stale []leger.SecretName
	size := 0
	for from := 0; from < len(infos); from += maxKeys {
		part := infos[from:min(from+maxKeys, len(infos))]
		missed, bytes := s.copies(ctx, part, list[from:])
		stale = append(stale, missed...)
		if size += bytes; size > maxValues {
			return nil, tooLarge()
		}
	}
	if len(stale) == 0 {
		return list, nil
	}
	return s.mend(ctx, infos, list, stale, size)
}

func tooLarge() error {
	return leger.Errorf(leger.CodeTooLarge, "the values together are more than %d MiB, which is the most one answer holds on Cloudflare", maxValues>>20).
		WithHint("read secrets one by one, or move to leger-server, which has no such limit")
}

// copies fills into with those of the secrets whose KV copies are current, and
// gives the names of the others.
func (s *Store) copies(ctx context.Context, infos []leger.SecretInfo, into []leger.SealedSecret) (stale []leger.SecretName, size int) {
	keys := make([]string, len(infos))
	for i, info := range infos {
		keys[i] = secretKey(info.User, info.Name)
	}
	answer, err := s.bindings.Do(ctx, Operation{Kind: opGet, Binding: BindingSecrets, Keys: keys})
	if err != nil {
		s.log.WarnContext(ctx, "KV does not answer: the values are read from the database", slog.Any("error", err))
	}
	c := &cells{rest: answer}
	for i, info := range infos {
		ok := false
		if err == nil {
			value, _ := c.text()
			metadata, _ := c.text()
			into[i], ok = sealedOf(info, value, metadata)
			ok = ok && s.opens(into[i].KeyID)
			size += len(into[i].Ciphertext)
		}
		if !ok || c.err != nil {
			stale = append(stale, info.Name)
		}
	}
	return stale, size
}

// opens reports whether there is the key of this id. A copy may be older than the last
// change of the key: it is of the same version and value, and sealed with a former key.
func (s *Store) opens(keyID string) bool {
	keys := s.keys.Load()
	return keys == nil || (*keys).Has(keyID)
}

// mend reads from the ledger what KV does not hold, and puts it there. A secret
// that was deleted meanwhile is left out; one that was written meanwhile is given
// as it is now.
func (s *Store) mend(ctx context.Context, infos []leger.SecretInfo, list []leger.SealedSecret, stale []leger.SecretName, size int) ([]leger.SealedSecret, error) {
	user := infos[0].User
	current := make(map[leger.SecretName]*leger.SealedSecret, len(stale))
	for from := 0; from < len(stale); from += maxKeys {
		part := stale[from:min(from+maxKeys, len(stale))]
		states, err := s.SecretStates(ctx, user, part)
		if err != nil {
			return nil, err
		}
		var copies []entry
		for i, state := range states {
			if current[part[i]] = state.Current; state.Current != nil {
				size += len(state.Current.Ciphertext)
				copies = append(copies, secretEntry(state.Current))
			}
		}
		if size > maxValues {
			return nil, tooLarge()
		}
		s.copy(ctx, BindingSecrets, copies)
	}
	whole := make([]leger.SealedSecret, 0, len(list))
	for i, info := range infos {
		sealed, mended := current[info.Name]
		switch {
		case !mended:
			whole = append(whole, list[i])
		case sealed != nil:
			whole = append(whole, *sealed)
		}
	}
	return whole, nil
}

// copy writes records to KV. What fails is logged only: the ledger has it.
func (s *Store) copy(ctx context.Context, binding string, records []entry) {
	if len(records) == 0 {
		return
	}
	if _, err := s.bindings.Do(ctx, Operation{Kind: opPut, Binding: binding, Entries: records, Later: true}); err != nil {
		s.log.WarnContext(ctx, "KV did not take a copy: the next read mends it", slog.String("binding", binding), slog.Any("error", err))
	}
}

// PutSecrets implements leger.SecretStore.
func (s *Store) PutSecrets(ctx context.Context, writes []leger.SecretWrite) error {
	if err := s.Store.PutSecrets(ctx, writes); err != nil {
		return err
	}
	copies := make([]entry, len(writes))
	for i := range writes {
		copies[i] = secretEntry(&writes[i].Sealed)
	}
	s.copy(ctx, BindingSecrets, copies)
	return nil
}

// Reseal implements leger.RekeyStore, and puts what is current into KV anew: a copy that
// nobody reads would stay sealed with the former key for good.
func (s *Store) Reseal(ctx context.Context, records []leger.ResealedSecret) error {
	if err := s.Store.Reseal(ctx, records); err != nil {
		return err
	}
	for len(records) > 0 {
		user, n := records[0].User, 1
		for n < len(records) && records[n].User == user {
			n++
		}
		if err := s.recopy(ctx, user, records[:n]); err != nil {
			s.log.WarnContext(ctx, "KV keeps copies that a former key sealed: they are made anew once it is gone",
				slog.Any("error", err))
		}
		records = records[n:]
	}
	return nil
}

// recopy writes the copies of those secrets of a user whose current version is among the
// records: then each is written once, however many versions of it are kept.
func (s *Store) recopy(ctx context.Context, user leger.UserID, records []leger.ResealedSecret) error {
	newest := map[leger.SecretName]leger.Version{}
	var names []leger.SecretName
	for i := range records {
		r := &records[i]
		if newest[r.Name] == 0 {
			names = append(names, r.Name)
		}
		newest[r.Name] = max(newest[r.Name], r.Version)
	}
	states, err := s.SecretStates(ctx, user, names)
	if err != nil {
		return err
	}
	var copies []entry
	for i, state := range states {
		if state.Current != nil && state.Current.Version == newest[names[i]] {
			copies = append(copies, secretEntry(state.Current))
		}
	}
	s.copy(ctx, BindingSecrets, copies)
	return nil
}

// DeleteSecret implements leger.SecretStore.
func (s *Store) DeleteSecret(ctx context.Context, user leger.UserID, name leger.SecretName, expect leger.Version, audit leger.AuditEvent) error {
	if err := s.Store.DeleteSecret(ctx, user, name, expect, audit); err != nil {
		return err
	}
	s.forget(ctx, BindingSecrets, []string{secretKey(user, name)})
	return nil
}

// forget deletes KV keys. What fails is logged only: Prune comes back to it.
func (s *Store) forget(ctx context.Context, binding string, keys []string) {
	for from := 0; from < len(keys); from += maxKeys {
		part := keys[from:min(from+maxKeys, len(keys))]
		if _, err := s.bindings.Do(ctx, Operation{Kind: opDelete, Binding: binding, Keys: part, Later: true}); err != nil {
			s.log.WarnContext(ctx, "KV did not delete copies: the next sweep does", slog.String("binding", binding), slog.Any("error", err))
		}
	}
}

// TokenUser implements leger.SessionStore, and from here on the request's user is
// known: see ReadAhead.
func (s *Store) TokenUser(ctx context.Context, id leger.UserID, jti string) (leger.User, bool, error) {
	if a := aheadOf(ctx); a != nil {
		a.user = id
	}
	return s.Store.TokenUser(ctx, id, jti)
}

// SignIn implements leger.UserStore.
func (s *Store) SignIn(ctx context.Context, in leger.SignIn, session *leger.Session) (leger.User, bool, error) {
	u, created, err := s.Store.SignIn(ctx, in, session)
	if err != nil {
		return u, created, err
	}
	s.copy(ctx, BindingUsers, []entry{userEntry(&u)})
	return u, created, nil
}

// InviteOwner implements leger.OperatorStore.
func (s *Store) InviteOwner(
	ctx context.Context, owner leger.Identity, in leger.Invitation, audit leger.AuditEvent,
) (leger.User, error) {
	u, err := s.Store.InviteOwner(ctx, owner, in, audit)
	if err != nil {
		return u, err
	}
	s.copy(ctx, BindingUsers, []entry{userEntry(&u)})
	return u, nil
}

// SetDisplayName implements leger.UserStore.
func (s *Store) SetDisplayName(ctx context.Context, id leger.UserID, name string, audit leger.AuditEvent) (leger.User, error) {
	u, err := s.Store.SetDisplayName(ctx, id, name, audit)
	if err != nil {
		return u, err
	}
	s.copy(ctx, BindingUsers, []entry{userEntry(&u)})
	return u, nil
}

// DeleteUser implements leger.UserStore.
func (s *Store) DeleteUser(ctx context.Context, id leger.UserID, audit leger.AuditEvent) error {
	if err := s.Store.DeleteUser(ctx, id, audit); err != nil {
		return err
	}
	s.forgetUser(ctx, id)
	return nil
}

func (s *Store) forgetUser(ctx context.Context, id leger.UserID) {
	s.forget(ctx, BindingUsers, []string{userKey(id)})
	answer, err := s.bindings.Do(ctx, Operation{Kind: opList, Binding: BindingSecrets, Key: secretPrefix(id)})
	if err != nil {
		s.log.WarnContext(ctx, "KV did not list the copies of a deleted account: the next sweep does", slog.Any("error", err))
		return
	}
	var keys []string
	for c := (&cells{rest: answer}); c.more(); {
		if key, ok := c.text(); ok {
			keys = append(keys, key)
		}
	}
	s.forget(ctx, BindingSecrets, keys)
}

// Prune implements leger.SessionStore, and deletes KV copies that outlived what
// was deleted in the last hours, also when something else is not pruned.
func (s *Store) Prune(ctx context.Context, now time.Time) (time.Time, error) {
	upTo, err := s.Store.Prune(ctx, now)
	return upTo, errors.Join(err, s.sweep(ctx, now))
}

// sweep deletes those copies. A secret that was made again in the meantime loses its copy,
// too; the next read writes it back.
func (s *Store) sweep(ctx context.Context, now time.Time) error {
	secrets, users, err := s.Deleted(ctx, now.Add(-sweepBack))
	if err != nil {
		return err
	}
	keys := make([]string, len(secrets))
	for i, d := range secrets {
		keys[i] = secretKey(d.User, d.Name)
	}
	s.forget(ctx, BindingSecrets, keys)
	for _, id := range users {
		s.forgetUser(ctx, id)
	}
	return nil
}

// Ping reads from the database, KV and R2. ErrUnavailable says which of them does
// not answer.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.engine.Read(ctx, ledger.Statement{Text: `SELECT 1`}, func(*ledger.Row) {}); err != nil {
		return err
	}
	return probe(ctx, s.bindings, true)
}
