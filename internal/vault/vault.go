// Package vault seals and opens secrets, and is the only server code that sees a
// plaintext. It decides versions (a write of the value that is there already
// makes no new one), retries when another writer was first, and records every
// value that leaves.
//
// It knows no HTTP and no storage technology: it works on a leger.SecretStore.
package vault

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"leger.run/leger"
)

// maxAttempts bounds the retries of a write that others keep overtaking. Each
// round somebody wins, so 200 outlasts any number of clients that fit the rate
// limits.
const maxAttempts = 200

// Config is what a Vault needs; every field is required.
type Config struct {
	Keys    *KeyRing // until UseKeys
	Secrets leger.SecretStore
	Now     func() time.Time
	Random  io.Reader // cryptographically secure
}

// Vault is safe for concurrent use.
type Vault struct {
	Config
	ring atomic.Pointer[KeyRing]
	// sealing is held for reading from the seal of a value until it is stored, so that
	// nothing sealed with a former key is stored after UseKeys.
	sealing sync.RWMutex
}

// New makes a Vault.
func New(c Config) *Vault {
	v := &Vault{Config: c}
	v.ring.Store(c.Keys)
	return v
}

// KeyID is the id of the key that seals now.
func (v *Vault) KeyID() string { return v.keys().CurrentID() }

// keys is asked after a record was read: the ring then holds its key.
func (v *Vault) keys() *KeyRing { return v.ring.Load() }

// Precondition is what If-Match and If-None-Match ask of the current version. The
// zero value asks nothing.
type Precondition struct {
	Exists  bool          // it must exist, at any version
	Absent  bool          // it must not exist
	Version leger.Version // not 0: it must be at this version
}

// check fails with CodeConflict and the current version.
func (p Precondition) check(name leger.SecretName, current leger.Version) error {
	if p.Absent && current != 0 {
		return exists(name, current)
	}
	if (p.Version != 0 && p.Version != current) || (p.Exists && current == 0) {
		return moved(name, current)
	}
	return nil
}

func exists(name leger.SecretName, current leger.Version) *leger.Error {
	e := leger.Errorf(leger.CodeConflict, "secret %s exists already, at version %d", name, current)
	e.Version = current
	return e.WithHint("choose another name, or replace its value on purpose")
}

// check gives the conflict of an item that expects another version.
func (it Item) check(current leger.Version) *leger.Error {
	switch {
	case it.Expect == nil || *it.Expect == current:
		return nil
	case *it.Expect == 0:
		return exists(it.Name, current)
	}
	return moved(it.Name, current)
}

func moved(name leger.SecretName, current leger.Version) *leger.Error {
	e := leger.Errorf(leger.CodeConflict, "secret %s is at version %d now", name, current)
	if current == 0 {
		e = leger.Errorf(leger.CodeConflict, "secret %s does not exist now", name)
	}
	e.Version = current
	return e.WithHint("look at what changed, then try again")
}

// Opened is a secret with its value.
type Opened struct {
	leger.SecretInfo
	Value leger.Plaintext
}

// Written is the outcome of a write.
type Written struct {
	leger.SecretInfo
	Changed bool // false: the secret held this value already
	Created bool // there was no live secret of the name before
	// Before is the version that was current; 0: there was no live secret.
	Before leger.Version
	// Conflict, when not nil, says that the item expected another version than Before,
	// and that its value is not the current one. Nothing was written then.
	Conflict *leger.Error
}

// List gives the live secrets without values, in order of name.
func (v *Vault) List(ctx context.Context, user leger.UserID) ([]leger.SecretInfo, error) {
	return v.Secrets.Secrets(ctx, user)
}

// OpenAll gives every live secret with its value, and records that they left: those
// whose scope gives them to the machine to, or all when to is nil, and the names of the
// others. One record that does not open fails the call: a list with a gap would look like
// a deletion to whoever syncs.
func (v *Vault) OpenAll(ctx context.Context, user leger.UserID, to *leger.Machine, audit leger.AuditEvent) (
	out []Opened, withheld []leger.SecretName, err error,
) {
	give := func(s leger.SecretInfo) bool {
		given := to == nil || s.Scope.Gives(*to)
		if !given {
			withheld = append(withheld, s.Name)
		}
		return given
	}
	sealed, err := v.Secrets.SealedSecrets(ctx, user, give)
	if err != nil {
		return nil, nil, err
	}
	out = make([]Opened, len(sealed))
	for i, s := range sealed {
		value, err := v.keys().open(s)
		if err != nil {
			return nil, nil, err
		}
		out[i] = Opened{s.SecretInfo, value}
	}
	if len(out) == 0 {
		return out, withheld, nil
	}
	audit.Action, audit.Subject, audit.Count = leger.ActionSecretRead, "*", len(out)
	var names []leger.SecretName // nil: all of the user's
	if len(withheld) > 0 {
		for _, o := range out {
			names = append(names, o.Name)
		}
	}
	return out, withheld, v.Secrets.RecordAccess(ctx, user, names, audit)
}

// Open gives one secret with its value, and records that it left. CodeNotFound.
// CodeForbidden when its scope does not give it to the machine to; a machine that only
// delivers does not learn that it is there: CodeNotFound. A nil to is given everything.
func (v *Vault) Open(ctx context.Context, user leger.UserID, name leger.SecretName, to *leger.Machine, audit leger.AuditEvent) (Opened, error) {
	s, err := v.Secrets.SealedSecret(ctx, user, name)
	if err != nil {
		return Opened{}, err
	}
	if to != nil && !s.Scope.Gives(*to) {
		return Opened{}, withheld(name, to)
	}
	value, err := v.keys().open(s)
	if err != nil {
		return Opened{}, err
	}
	audit.Action, audit.Subject, audit.Version = leger.ActionSecretRead, name.String(), s.Version
	return Opened{s.SecretInfo, value}, v.Secrets.RecordAccess(ctx, user, []leger.SecretName{name}, audit)
}

func withheld(name leger.SecretName, to *leger.Machine) error {
	if to.Role != leger.RoleFull {
		return leger.NoSuchSecret(name)
	}
	return leger.Errorf(leger.CodeForbidden, "secret %s is not given to this machine", name).
		WithHint("see which machines it goes to, and change that: leger secrets scope %s", name)
}

// SetScope says which machines the secret is given to from now on. CodeNotFound. The
// audit event's Detail tells which.
func (v *Vault) SetScope(ctx context.Context, user leger.UserID, name leger.SecretName, scope leger.Scope, audit leger.AuditEvent) error {
	audit.Action, audit.Subject = leger.ActionSecretScope, name.String()
	return v.Secrets.SetScope(ctx, user, name, scope, audit)
}

// Put makes the item's value the secret's current version, or leaves it when it is
// already. it.Expect counts for nothing, pre says what must hold. CodeConflict when it
// does not, or when the user owns too many.
func (v *Vault) Put(ctx context.Context, user leger.UserID, it Item, pre Precondition, audit leger.AuditEvent) (Written, error) {
	items := []Item{it}
	var out Written
	err := v.retry(ctx, pre, func() error {
		v.sealing.RLock()
		defer v.sealing.RUnlock()
		plan, err := v.plan(ctx, user, items, pre, audit)
		if err != nil {
			return err
		}
		out = plan.written[0]
		return v.commit(ctx, plan)
	})
	return out, err
}

// Item is one secret of a batch.
type Item struct {
	Name  leger.SecretName
	Value leger.Plaintext
	// Expect, when not nil, is the version that must be current; 0: the secret must
	// not exist.
	Expect *leger.Version
	// Scope, when not nil, says which machines the secret is given to from the version
	// on that is written. Where none is, because the value is there already, it changes
	// nothing: see SetScope.
	Scope *leger.Scope
}

// PutAll writes all items or none, and gives their outcomes in order. Names must
// be unique. With dryRun, or when an item does not meet the version it expects, it
// writes nothing and tells what would happen.
func (v *Vault) PutAll(ctx context.Context, user leger.UserID, items []Item, dryRun bool, audit leger.AuditEvent) ([]Written, error) {
	var out []Written
	err := v.retry(ctx, Precondition{}, func() error {
		v.sealing.RLock()
		defer v.sealing.RUnlock()
		plan, err := v.plan(ctx, user, items, Precondition{}, audit)
		if err != nil {
			return err
		}
		out = plan.written
		if dryRun || plan.conflict {
			return v.checkRoom(ctx, user, out)
		}
		return v.commit(ctx, plan)
	})
	return out, err
}

// checkRoom fails as the store would if the user came to own too many secrets.
func (v *Vault) checkRoom(ctx context.Context, user leger.UserID, planned []Written) error {
	created := 0
	for _, w := range planned {
		if w.Created {
			created++
		}
	}
	if created == 0 {
		return nil
	}
	owned, err := v.Secrets.Secrets(ctx, user)
	if err != nil {
		return err
	}
	if len(owned)+created > leger.MaxSecretsPerUser {
		return leger.Errorf(leger.CodeConflict, "%d secrets are there and %d would be added: an account holds at most %d", len(owned), created, leger.MaxSecretsPerUser).
			WithHint("delete secrets that are not needed any more")
	}
	return nil
}

// Restore makes the value of an old version the secret's newest. CodeNotFound
// when the version is not kept.
func (v *Vault) Restore(ctx context.Context, user leger.UserID, name leger.SecretName, old leger.Version, pre Precondition, audit leger.AuditEvent) (Written, error) {
	sealed, err := v.Secrets.SealedSecretVersion(ctx, user, name, old)
	if err != nil {
		return Written{}, err
	}
	value, err := v.keys().open(sealed)
	if err != nil {
		return Written{}, err
	}
	defer value.Wipe()
	audit.Action = leger.ActionSecretRestore
	return v.Put(ctx, user, Item{Name: name, Value: value}, pre, audit)
}

// Delete forgets a secret and every value it had. CodeNotFound, CodeConflict.
// The audit event tells which version was the last.
func (v *Vault) Delete(ctx context.Context, user leger.UserID, name leger.SecretName, pre Precondition, audit leger.AuditEvent) error {
	audit.Action, audit.Subject = leger.ActionSecretDelete, name.String()
	return v.retry(ctx, pre, func() error {
		states, err := v.Secrets.SecretStates(ctx, user, []leger.SecretName{name})
		if err != nil {
			return err
		}
		expect := pre.Version
		if current := states[0].Current; current != nil {
			if err := pre.check(name, current.Version); err != nil {
				return err
			}
			expect, audit.Version = current.Version, current.Version
		}
		return v.Secrets.DeleteSecret(ctx, user, name, expect, audit)
	})
}

// Versions lists the kept versions, newest first. CodeNotFound.
func (v *Vault) Versions(ctx context.Context, user leger.UserID, name leger.SecretName) ([]leger.SecretVersion, error) {
	return v.Secrets.SecretVersions(ctx, user, name)
}

// plan is what a write will do, decided against the state of one moment.
type plan struct {
	writes   []leger.SecretWrite
	written  []Written
	conflict bool // an item's Expect does not hold
}

func (v *Vault) plan(ctx context.Context, user leger.UserID, items []Item, pre Precondition, audit leger.AuditEvent) (plan, error) {
	names := make([]leger.SecretName, len(items))
	for i, it := range items {
		names[i] = it.Name
	}
	states, err := v.Secrets.SecretStates(ctx, user, names)
	if err != nil {
		return plan{}, err
	}
	p := plan{written: make([]Written, len(items))}
	now := v.Now()
	for i, it := range items {
		st := states[i]
		live := st.Version
		if st.Deleted {
			live = 0
		}
		if err := pre.check(it.Name, live); err != nil {
			return plan{}, err
		}
		if v.holds(st.Current, it.Value) {
			p.written[i] = Written{SecretInfo: st.Current.SecretInfo, Before: live}
			continue
		}
		if err := it.check(live); err != nil {
			p.conflict = true
			p.written[i] = Written{
				SecretInfo: leger.SecretInfo{User: user, Name: it.Name, Version: live}, Before: live, Conflict: err,
			}
			continue
		}
		write, err := v.next(user, it, st, now, audit)
		if err != nil {
			return plan{}, err
		}
		p.writes = append(p.writes, write)
		p.written[i] = Written{SecretInfo: write.Sealed.SecretInfo, Changed: true, Created: live == 0, Before: live}
	}
	return p, nil
}

// holds reports whether the current version's value is this one. A record that
// no longer opens is simply not this value: writing anew is how its owner mends it.
func (v *Vault) holds(current *leger.SealedSecret, value leger.Plaintext) bool {
	if current == nil {
		return false
	}
	old, err := v.keys().open(*current)
	if err != nil {
		return false
	}
	defer old.Wipe()
	return subtle.ConstantTimeCompare(old.Reveal(), value.Reveal()) == 1
}

// next seals the version that follows st.
func (v *Vault) next(user leger.UserID, it Item, st leger.SecretState, now time.Time, audit leger.AuditEvent) (leger.SecretWrite, error) {
	info := leger.SecretInfo{User: user, Name: it.Name, Version: st.Version + 1, CreatedAt: now, UpdatedAt: now}
	action := leger.ActionSecretCreate
	if st.Current != nil {
		info.ID, info.CreatedAt, info.LastAccessed = st.Current.ID, st.Current.CreatedAt, st.Current.LastAccessed
		info.Scope = st.Current.Scope
		action = leger.ActionSecretUpdate
	} else {
		id, err := leger.NewID(v.Random)
		if err != nil {
			return leger.SecretWrite{}, err
		}
		info.ID = id
	}
	if it.Scope != nil {
		info.Scope = *it.Scope
	}
	sealed, err := v.keys().seal(v.Random, info, it.Value)
	if err != nil {
		return leger.SecretWrite{}, err
	}
	if audit.Action == "" {
		audit.Action = action
	}
	audit.Subject, audit.Version = it.Name.String(), info.Version
	return leger.SecretWrite{Sealed: sealed, Expect: st.Version, Scope: it.Scope, Audit: audit}, nil
}

func (v *Vault) commit(ctx context.Context, p plan) error {
	if len(p.writes) == 0 {
		return nil
	}
	return v.Secrets.PutSecrets(ctx, p.writes)
}

// retry repeats a write that lost a race, unless the caller named the version it
// wanted to replace, or none: then the loss is the caller's answer.
func (v *Vault) retry(ctx context.Context, pre Precondition, try func() error) error {
	for range maxAttempts {
		err := try()
		var e *leger.Error
		lost := errors.As(err, &e) && e.Code == leger.CodeConflict && e.Version != 0
		if !lost || pre.Version != 0 || pre.Absent {
			return err
		}
		if err := ctx.Err(); err != nil {
			return leger.Wrap(leger.CodeUnavailable, err, "the request ended before the write")
		}
	}
	return leger.Errorf(leger.CodeUnavailable, "others keep changing this secret").WithHint("try again")
}
