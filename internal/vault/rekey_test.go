package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
)

// sealed gives every sealed record of the safe.
func (s *safe) sealed(t *testing.T) []leger.SealedSecret {
	t.Helper()
	list, err := s.store.SealedVersions(t.Context(), leger.RecordPlace{}, 10000)
	must(t, err)
	return list
}

func (s *safe) reseal(t *testing.T) int {
	t.Helper()
	n, err := s.Reseal(t.Context(), s.store, func(int) {})
	must(t, err)
	return n
}

// onlyKey checks that one key opens everything, and seals it.
func (s *safe) onlyKey(t *testing.T, key string) {
	t.Helper()
	alone := ring(t, key)
	ids, err := s.store.KeyIDs(t.Context())
	must(t, err)
	if !slices.Equal(ids, []string{alone.CurrentID()}) {
		t.Errorf("the records are sealed with %q, not only with %s", ids, alone.CurrentID())
	}
	if _, err := vault.VerifyRecords(t.Context(), alone, s.store); err != nil {
		t.Error(err)
	}
}

// A write of the same value keeps the old seal, and all 20 kept versions pin the old key:
// before there was Reseal it could never go.
func TestResealFreesTheFormerKey(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	for i := range 250 {
		s.put(t, fmt.Sprintf("s%d", i), "value")
	}
	s.put(t, "s0", "second")
	before := s.sealed(t)
	former, key := s.key, newKey(t)
	s.UseKeys(ring(t, key, former))
	passed := 0
	n, err := s.Reseal(t.Context(), s.store, func(n int) { passed = n })
	if err != nil || n != 251 || passed != 251 {
		t.Errorf("%d of %d records, %v", n, passed, err)
	}
	s.onlyKey(t, key)
	for i, r := range s.sealed(t) {
		if r.ValueID != before[i].ValueID || r.Version != before[i].Version || !r.UpdatedAt.Equal(before[i].UpdatedAt) {
			t.Fatalf("%s version %d is another value now: every machine would fetch it again", r.Name, r.Version)
		}
		if slices.Equal(r.Ciphertext, before[i].Ciphertext) {
			t.Fatalf("%s version %d is sealed as before", r.Name, r.Version)
		}
	}
	if n := s.reseal(t); n != 0 {
		t.Errorf("a second time %d records were sealed", n)
	}
	if w := s.put(t, "s0", "second"); w.Changed {
		t.Error("the same value is another one after the rekey")
	}
}

// An interrupted rekey leaves records under both keys, all of which open; the next goes on.
func TestResealCanBeInterrupted(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	for i := range 350 {
		s.put(t, fmt.Sprintf("s%d", i), "value")
	}
	key := newKey(t)
	both := ring(t, key, s.key)
	s.UseKeys(both)
	total := 0
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		n, err := s.Reseal(ctx, s.store, func(int) { cancel() })
		if !errors.Is(err, leger.ErrUnavailable) {
			t.Errorf("an interrupted run = %v", err)
		}
		total += n
		if _, err := vault.VerifyRecords(t.Context(), both, s.store); err != nil {
			t.Error(err)
		}
	}
	if total += s.reseal(t); total != 350 {
		t.Errorf("%d records were sealed in all", total)
	}
	s.onlyKey(t, key)
}

// A value that was sealed before the switch and stored after it would need the former
// key for ever, and nobody would know.
func TestNoWriteOutlivesItsKey(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	wrote := make(chan struct{})
	for w := range 8 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				s.write(ctx, t, fmt.Sprintf("s%d", (w*7+i)%20), fmt.Sprint(w, i), i%5 == 4)
				select {
				case wrote <- struct{}{}:
				case <-ctx.Done():
				default:
				}
			}
		})
	}
	former := s.key
	for range 30 {
		for range 5 {
			<-wrote
		}
		key := newKey(t)
		s.UseKeys(ring(t, key, former))
		s.reseal(t)
		ids, err := s.store.KeyIDs(t.Context())
		must(t, err)
		if current := ring(t, key).CurrentID(); len(ids) > 0 && !slices.Equal(ids, []string{current}) {
			t.Fatalf("after the rekey to %s the keys %q are in use", current, ids)
		}
		former = key
	}
	stop()
	group.Wait()
	s.put(t, "last", "value")
	s.onlyKey(t, former)
}

// write puts a value, and then deletes it if asked to, unless ctx ends.
func (s *safe) write(ctx context.Context, t *testing.T, name, value string, remove bool) {
	n := secretName(t, name)
	_, err := s.Put(ctx, s.user, vault.Item{Name: n, Value: text(value)}, vault.Precondition{}, s.event())
	if err == nil && remove {
		err = s.Delete(ctx, s.user, n, vault.Precondition{}, s.event())
	}
	if err != nil && !errors.Is(err, leger.ErrNotFound) && ctx.Err() == nil {
		t.Error(err)
	}
}

// The key that is missing is named; what does not open stops the rekey, and is named too.
func TestResealNamesWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	s.put(t, "a", "x")
	v := s.with(t, newKey(t), "")
	_, err := v.Reseal(t.Context(), s.store, func(int) {})
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeInvalid || !strings.Contains(e.Message, ring(t, s.key).CurrentID()) {
		t.Errorf("without the former key: %v", err)
	}
	if _, err := vault.VerifyRecords(t.Context(), ring(t, newKey(t)), s.store); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("verifying with another key = %v", err)
	}
	record := s.sealed(t)[0]
	record.Ciphertext[0] ^= 1
	must(t, s.store.Reseal(t.Context(), []leger.ResealedSecret{{SealedSecret: record, FormerKeyID: record.KeyID}}))
	v = s.with(t, newKey(t), s.key)
	if _, err := v.Reseal(t.Context(), s.store, func(int) {}); !errors.Is(err, leger.ErrInternal) {
		t.Errorf("a damaged record = %v", err)
	}
}

// A part is bounded in records, and in bytes: 50 of the longest values would be more than a
// Worker has room for. Only what is sealed anew counts.
func TestPartsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	for i := range 40 {
		s.put(t, fmt.Sprintf("big%02d", i), strings.Repeat("x", leger.MaxSecretValue))
	}
	for i := range 60 {
		s.put(t, fmt.Sprintf("small%02d", i), "x")
	}
	key := newKey(t)
	s.UseKeys(ring(t, key, s.key))
	parts := func() (sizes []int) {
		var at leger.RecordPlace
		for {
			part, err := s.ResealPart(t.Context(), s.store, s.KeyID(), at)
			must(t, err)
			sizes = append(sizes, part.Passed)
			if at = part.Last; part.End {
				return sizes
			}
		}
	}
	if got := parts(); !slices.Equal(got, []int{16, 16, 50, 18}) {
		t.Errorf("parts of %v", got)
	}
	s.onlyKey(t, key)
	if got := parts(); !slices.Equal(got, []int{50, 50, 0}) {
		t.Errorf("the second time parts of %v", got)
	}
	if _, err := s.ResealPart(t.Context(), s.store, "another", leger.RecordPlace{}); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("with another key than it began with: %v", err)
	}
}
