package vault_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/vault"
)

func TestPutDecidesVersions(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	if w := s.put(t, "key", "one"); w.Version != 1 || !w.Changed || !w.Created {
		t.Errorf("first: %+v", w)
	}
	if w := s.put(t, "key", "one"); w.Version != 1 || w.Changed || w.Created {
		t.Errorf("the same again: %+v", w)
	}
	if w := s.put(t, "key", "two"); w.Version != 2 || !w.Changed || w.Created {
		t.Errorf("another value: %+v", w)
	}
	if w := s.put(t, "key", "one"); w.Version != 3 || !w.Changed {
		t.Errorf("an old value again: %+v", w)
	}
	if w := s.put(t, "Key", "one"); w.Version != 1 || !w.Created {
		t.Errorf("another name: %+v", w)
	}
	got, err := s.Open(t.Context(), s.user, secretName(t, "key"), nil, s.event())
	must(t, err)
	if string(got.Value.Reveal()) != "one" || got.Version != 3 {
		t.Errorf("opened %q, version %d", got.Value.Reveal(), got.Version)
	}
}

// A name that was deleted goes on counting, or a machine that holds version 2 of
// the old secret would take version 1 of the new one for older.
func TestVersionsOutliveDeletion(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	first := s.put(t, "key", "one")
	s.put(t, "key", "two")
	must(t, s.Delete(t.Context(), s.user, secretName(t, "key"), vault.Precondition{}, s.event()))
	again := s.put(t, "key", "two")
	if again.Version != 3 || !again.Created || !again.Changed || again.ID == first.ID {
		t.Errorf("made again: %+v", again)
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	ctx, name := t.Context(), secretName(t, "key")
	put := func(pre vault.Precondition) error {
		_, err := s.Put(ctx, s.user, vault.Item{Name: name, Value: text(fmt.Sprint(pre))}, pre, s.event())
		return err
	}
	conflict := func(what string, err error, current leger.Version) {
		t.Helper()
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeConflict || e.Version != current {
			t.Errorf("%s: %v", what, err)
		}
	}
	conflict("any version of nothing", put(vault.Precondition{Exists: true}), 0)
	conflict("version 1 of nothing", put(vault.Precondition{Version: 1}), 0)
	must(t, put(vault.Precondition{Absent: true}))
	conflict("making what is there", put(vault.Precondition{Absent: true}), 1)
	must(t, put(vault.Precondition{Version: 1}))
	conflict("version 1 of 2", put(vault.Precondition{Version: 1}), 2)
	must(t, put(vault.Precondition{Exists: true}))
	conflict("deleting version 2 of 3", s.Delete(ctx, s.user, name, vault.Precondition{Version: 2}, s.event()), 3)
	must(t, s.Delete(ctx, s.user, name, vault.Precondition{Version: 3}, s.event()))
	conflict("version 3 of what was deleted", put(vault.Precondition{Version: 3}), 0)
	must(t, put(vault.Precondition{Absent: true}))
	must(t, s.Delete(ctx, s.user, name, vault.Precondition{}, s.event()))
	for _, pre := range []vault.Precondition{{}, {Exists: true}, {Version: 3}} {
		if err := s.Delete(ctx, s.user, name, pre, s.event()); !errors.Is(err, leger.ErrNotFound) {
			t.Errorf("deleting it again with %+v: %v", pre, err)
		}
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	ctx, name := t.Context(), secretName(t, "key")
	s.put(t, "key", "one")
	s.put(t, "key", "two")
	w, err := s.Restore(ctx, s.user, name, 1, vault.Precondition{}, s.event())
	must(t, err)
	got, err := s.Open(ctx, s.user, name, nil, s.event())
	must(t, err)
	if w.Version != 3 || !w.Changed || string(got.Value.Reveal()) != "one" {
		t.Errorf("restored %+v, value %q", w, got.Value.Reveal())
	}
	if w, err := s.Restore(ctx, s.user, name, 1, vault.Precondition{}, s.event()); err != nil || w.Changed {
		t.Errorf("what it holds already: %+v, %v", w, err)
	}
	if _, err := s.Restore(ctx, s.user, name, 9, vault.Precondition{}, s.event()); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("a version that never was: %v", err)
	}
	if e := s.audit(t)[1]; e.Action != leger.ActionSecretRestore || e.Version != 3 || e.Subject != "key" {
		t.Errorf("recorded %+v", e)
	}
}

func TestPutAllWritesAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	s.put(t, "same", "same")
	s.put(t, "other", "before")
	items := []vault.Item{
		{Name: secretName(t, "same"), Value: text("same")},
		{Name: secretName(t, "other"), Value: text("after")},
		{Name: secretName(t, "new"), Value: text("new")},
	}
	want := []struct {
		version          leger.Version
		changed, created bool
	}{{1, false, false}, {2, true, false}, {1, true, true}}
	for _, dry := range []bool{true, false} {
		got, err := s.PutAll(t.Context(), s.user, items, dry, s.event())
		must(t, err)
		for i, w := range want {
			if got[i].Version != w.version || got[i].Changed != w.changed || got[i].Created != w.created {
				t.Errorf("dry run %t, %s: %+v", dry, items[i].Name, got[i])
			}
		}
		list, err := s.List(t.Context(), s.user)
		must(t, err)
		if n := len(list); dry && n != 2 || !dry && n != 3 {
			t.Errorf("dry run %t: %d secrets are there", dry, n)
		}
	}
}

// Everything that leaves or changes is recorded with what it was, and a refusal to
// open is not recorded as a read.
func TestAudit(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	ctx, name := t.Context(), secretName(t, "key")
	s.put(t, "key", "one")
	s.put(t, "key", "two")
	s.put(t, "key", "two")
	_, _, err := s.OpenAll(ctx, s.user, nil, s.event())
	must(t, err)
	_, err = s.Open(ctx, s.user, name, nil, s.event())
	must(t, err)
	must(t, s.Delete(ctx, s.user, name, vault.Precondition{}, s.event()))
	if list, _, err := s.OpenAll(ctx, s.user, nil, s.event()); err != nil || len(list) != 0 {
		t.Errorf("opened %d, %v", len(list), err)
	}
	var got []string
	for _, e := range s.audit(t) {
		got = append(got, fmt.Sprintf("%s %s %d %d", e.Action, e.Subject, e.Version, e.Count))
	}
	want := []string{"secret.delete key 2 0", "secret.read key 2 0", "secret.read * 0 1", "secret.update key 2 0", "secret.create key 1 0"}
	if !slices.Equal(got, want) {
		t.Errorf("recorded %q\nwant %q", got, want)
	}
}

// Old keys still open, new values go under the new key, and without its key a
// value stays shut but can be written anew.
func TestKeyChange(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	ctx := t.Context()
	s.put(t, "old", "value")
	newer := newKey(t)
	both := s.with(t, newer, s.key)
	got, err := both.Open(ctx, s.user, secretName(t, "old"), nil, s.event())
	must(t, err)
	if string(got.Value.Reveal()) != "value" {
		t.Errorf("opened %q", got.Value.Reveal())
	}
	if w, err := both.Put(ctx, s.user, vault.Item{Name: secretName(t, "old"), Value: text("value")}, vault.Precondition{}, s.event()); err != nil || w.Changed {
		t.Errorf("the same value under the old key: %+v, %v", w, err)
	}
	alone := s.with(t, newer, "")
	for what, err := range map[string]error{
		"one": second(alone.Open(ctx, s.user, secretName(t, "old"), nil, s.event())),
		"all": third(alone.OpenAll(ctx, s.user, nil, s.event())),
	} {
		if !errors.Is(err, leger.ErrInternal) {
			t.Errorf("opening %s without the key: %v", what, err)
		}
	}
	w, err := alone.Put(ctx, s.user, vault.Item{Name: secretName(t, "old"), Value: text("value")}, vault.Precondition{}, s.event())
	if err != nil || !w.Changed || w.Version != 2 {
		t.Errorf("written anew: %+v, %v", w, err)
	}
}

func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

// TestManyWriters: many at once on one name; each write that says it changed has a
// version of its own, and nothing is lost.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	const writers = 30
	versions := make([]leger.Version, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			w, err := s.Put(t.Context(), s.user, vault.Item{Name: secretName(t, "key"), Value: text(fmt.Sprint("value ", i))}, vault.Precondition{}, s.event())
			if err != nil {
				t.Error(err)
			}
			versions[i] = w.Version
		})
	}
	wg.Wait()
	slices.Sort(versions)
	for i, v := range versions {
		if v != leger.Version(i+1) {
			t.Fatalf("versions %v", versions)
		}
	}
}

// overtaken lets another writer in before each of its first writes.
type overtaken struct {
	*sqlite.Store
	mu     sync.Mutex
	before []func()
}

func (o *overtaken) PutSecrets(ctx context.Context, writes []leger.SecretWrite) error {
	o.mu.Lock()
	var first func()
	if len(o.before) > 0 {
		first, o.before = o.before[0], o.before[1:]
	}
	o.mu.Unlock()
	if first != nil {
		first()
	}
	return o.Store.PutSecrets(ctx, writes)
}

// Whoever names no version is not bothered with a race; whoever names one is told.
func TestWriteThatIsOvertaken(t *testing.T) {
	t.Parallel()
	for _, pre := range []vault.Precondition{{}, {Exists: true}, {Version: 1}} {
		t.Run(fmt.Sprintf("%+v", pre), func(t *testing.T) {
			t.Parallel()
			s := newSafe(t)
			s.put(t, "key", "one")
			slow := &overtaken{Store: s.store, before: []func(){
				func() { s.put(t, "key", "two") }, func() { s.put(t, "key", "three") },
			}}
			v := vault.New(vault.Config{Keys: ring(t, s.key), Secrets: slow, Now: time.Now, Random: rand.Reader})
			w, err := v.Put(t.Context(), s.user, vault.Item{Name: secretName(t, "key"), Value: text("mine")}, pre, s.event())
			var e *leger.Error
			switch {
			case pre.Version == 0 && (err != nil || w.Version != 4):
				t.Errorf("%+v, %v", w, err)
			case pre.Version != 0 && (!errors.As(err, &e) || e.Code != leger.CodeConflict || e.Version != 2):
				t.Errorf("%v", err)
			}
		})
	}
}

// Of two who make the same secret at once, one is told that it is there.
func TestCreationThatIsOvertaken(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	slow := &overtaken{Store: s.store, before: []func(){func() { s.put(t, "key", "theirs") }}}
	v := vault.New(vault.Config{Keys: ring(t, s.key), Secrets: slow, Now: time.Now, Random: rand.Reader})
	_, err := v.Put(t.Context(), s.user, vault.Item{Name: secretName(t, "key"), Value: text("mine")}, vault.Precondition{Absent: true}, s.event())
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeConflict || e.Version != 1 {
		t.Errorf("%v", err)
	}
}

// forever is always a version ahead of what it said.
type forever struct{ *sqlite.Store }

func (forever) PutSecrets(context.Context, []leger.SecretWrite) error {
	return &leger.Error{Code: leger.CodeConflict, Version: 7}
}

func TestWriteGivesUp(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	v := vault.New(vault.Config{Keys: ring(t, s.key), Secrets: forever{s.store}, Now: time.Now, Random: rand.Reader})
	if _, err := v.Put(t.Context(), s.user, vault.Item{Name: secretName(t, "key"), Value: text("x")}, vault.Precondition{}, s.event()); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("always overtaken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Put(ctx, s.user, vault.Item{Name: secretName(t, "key"), Value: text("x")}, vault.Precondition{}, s.event()); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("after the request ended: %v", err)
	}
}

func TestStorageAway(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	s.put(t, "key", "value")
	must(t, s.store.Close())
	ctx, name := t.Context(), secretName(t, "key")
	for what, err := range map[string]error{
		"list":     second(s.List(ctx, s.user)),
		"open all": third(s.OpenAll(ctx, s.user, nil, s.event())),
		"open":     second(s.Open(ctx, s.user, name, nil, s.event())),
		"put":      second(s.Put(ctx, s.user, vault.Item{Name: name, Value: text("x")}, vault.Precondition{}, s.event())),
		"restore":  second(s.Restore(ctx, s.user, name, 1, vault.Precondition{}, s.event())),
		"versions": second(s.Versions(ctx, s.user, name)),
		"delete":   s.Delete(ctx, s.user, name, vault.Precondition{}, s.event()),
	} {
		if !errors.Is(err, leger.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A value that could not be recorded as read does not leave.
func TestValueLeavesOnlyOnRecord(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	s.put(t, "key", "value")
	v := vault.New(vault.Config{Keys: ring(t, s.key), Secrets: unrecorded{s.store}, Now: time.Now, Random: rand.Reader})
	if _, err := v.Open(t.Context(), s.user, secretName(t, "key"), nil, s.event()); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("open: %v", err)
	}
	if _, _, err := v.OpenAll(t.Context(), s.user, nil, s.event()); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("open all: %v", err)
	}
}

type unrecorded struct{ *sqlite.Store }

func (unrecorded) RecordAccess(context.Context, leger.UserID, []leger.SecretName, leger.AuditEvent) error {
	return leger.ErrUnavailable
}

func TestValuesKeepEveryByte(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	big := make([]byte, leger.MaxSecretValue)
	for i := range big {
		big[i] = byte('a' + i%26)
	}
	for name, value := range map[string]string{
		"newlines": "a\nb\r\n", "nul": "a\x00b", "spaces": "  a  ", "null": "<null>", "unicode": "ключ 🔑\u2028", "one": "x", "biggest": string(big),
	} {
		s.put(t, name, value)
		got, err := s.Open(t.Context(), s.user, secretName(t, name), nil, s.event())
		must(t, err)
		if string(got.Value.Reveal()) != value {
			t.Errorf("%s: %d bytes came back as %d others", name, len(value), got.Value.Len())
		}
	}
	// And after the server was stopped and started.
	must(t, s.store.Close())
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Clean(s.path)})
	must(t, err)
	defer func() { must(t, store.Close()) }()
	s.store = store
	got, err := s.with(t, s.key, "").Open(t.Context(), s.user, secretName(t, "newlines"), nil, s.event())
	must(t, err)
	if string(got.Value.Reveal()) != "a\nb\r\n" {
		t.Errorf("after a restart: %q", got.Value.Reveal())
	}
}
