package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
)

// held is a store whose writer is stopped inside its first transaction by
// another program's lock, until release is called.
type held struct {
	*sqlite.Store
	user    leger.UserID
	before  sqlite.Stats
	first   <-chan error // the answer of the write it is stopped in
	cancel  func()       // of that write's context
	release func()
}

func holdWriter(t *testing.T) *held {
	t.Helper()
	path := filepath.Join(t.TempDir(), "leger.db")
	h := &held{Store: open(t, sqlite.Config{Path: path})}
	h.user = account(t, h.Store)
	h.before = h.Stats()
	lock, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	h.release = sync.OnceFunc(func() {
		_, err := lock.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK")
		if err = errors.Join(err, lock.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.release)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	h.cancel = cancel
	h.first = h.putLater(ctx, name(t, "first"))
	eventually(t, "the first write begins", func() bool { return h.Stats().Operations == h.before.Operations+1 })
	return h
}

// putLater puts a secret in another goroutine and gives the channel of the answer.
func (h *held) putLater(ctx context.Context, n leger.SecretName) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- h.PutSecrets(ctx, []leger.SecretWrite{write(h.user, n, 0, "x")}) }()
	return answer
}

func TestWritesThatWaitShareATransaction(t *testing.T) {
	t.Parallel()
	h := holdWriter(t)
	answers := []<-chan error{h.first}
	for i := range 100 {
		answers = append(answers, h.putLater(t.Context(), name(t, fmt.Sprintf("s%d", i))))
	}
	eventually(t, "100 writes wait", func() bool { return h.Stats().Waiting == 100 })
	h.release()
	for _, a := range answers {
		if err := <-a; err != nil {
			t.Error(err)
		}
	}
	after := h.Stats()
	if n := after.Transactions - h.before.Transactions; n != 2 {
		t.Errorf("101 writes took %d transactions, want 2", n)
	}
	if n := after.Synced - h.before.Synced; n != 2 {
		t.Errorf("101 writes took %d syncs, want 2", n)
	}
	if list, err := h.Secrets(t.Context(), h.user); err != nil || len(list) != 101 {
		t.Errorf("%d secrets, %v", len(list), err)
	}
}

// One refused write must not touch those that share its transaction.
func TestRefusedWriteLeavesItsNeighbours(t *testing.T) {
	t.Parallel()
	h := holdWriter(t)
	good := h.putLater(t.Context(), name(t, "good"))
	eventually(t, "one write waits", func() bool { return h.Stats().Waiting == 1 })
	batch := make(chan error, 1)
	go func() {
		batch <- h.PutSecrets(t.Context(), []leger.SecretWrite{
			write(h.user, name(t, "bad"), 0, "x"), write(h.user, name(t, "good"), 0, "late"),
		})
	}()
	eventually(t, "two writes wait", func() bool { return h.Stats().Waiting == 2 })
	other := h.putLater(t.Context(), name(t, "other"))
	eventually(t, "three writes wait", func() bool { return h.Stats().Waiting == 3 })
	h.release()
	if err := errors.Join(<-h.first, <-good, <-other); err != nil {
		t.Error(err)
	}
	if err := <-batch; !errors.Is(err, leger.ErrConflict) {
		t.Errorf("the refused write = %v", err)
	}
	list, err := h.Secrets(t.Context(), h.user)
	if err != nil || len(list) != 3 || list[1].Name != name(t, "good") || list[2].Name != name(t, "other") {
		t.Errorf("secrets = %+v, %v", list, err)
	}
}

func TestGivenUpWriteNeverBegins(t *testing.T) {
	t.Parallel()
	h := holdWriter(t)
	ctx, cancel := context.WithCancel(t.Context())
	waiting := h.putLater(ctx, name(t, "waiting"))
	eventually(t, "one write waits", func() bool { return h.Stats().Waiting == 1 })
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) || !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("a write given up while it waits = %v", err)
	}
	h.release()
	if err := <-h.first; err != nil {
		t.Error(err)
	}
	mustPut(t, h.Store, h.user, "waiting", 0, "another writer's") // would conflict, had the first begun
}

func TestBegunWriteIsAnsweredTruthfully(t *testing.T) {
	t.Parallel()
	h := holdWriter(t)
	h.cancel()
	select {
	case err := <-h.first:
		t.Fatalf("answered %v before anything was known", err)
	default:
	}
	h.release()
	if err := <-h.first; err != nil {
		t.Errorf("a write given up after it began = %v, but it was made", err)
	}
	if _, err := h.SealedSecret(t.Context(), h.user, name(t, "first")); err != nil {
		t.Error(err)
	}
}

func TestCloseFinishesWhatWaits(t *testing.T) {
	t.Parallel()
	h := holdWriter(t)
	waiting := h.putLater(t.Context(), name(t, "waiting"))
	eventually(t, "one write waits", func() bool { return h.Stats().Waiting == 1 })
	closed := make(chan error, 1)
	go func() { closed <- h.Close() }()
	eventually(t, "the store refuses", func() bool {
		return errors.Is(h.Ping(t.Context()), leger.ErrUnavailable)
	})
	h.release()
	if err := errors.Join(<-h.first, <-waiting, <-closed); err != nil {
		t.Error(err)
	}
}

// A lock that another program keeps is reported, and the store goes on once it
// is gone.
func TestForeignLockIsReported(t *testing.T) {
	t.Parallel()
	h := holdWriter(t)
	err := <-h.first // after busy_timeout
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeUnavailable || e.Hint == "" {
		t.Fatalf("error = %v", err)
	}
	h.release()
	mustPut(t, h.Store, h.user, "first", 0, "x")
}

func TestReadsAreRecordedWithoutWaitingForTheDisk(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db"), SyncDelay: time.Hour})
	user := account(t, s)
	mustPut(t, s, user, "key", 0, "x")
	before := s.Stats()
	for range 3 {
		if err := s.RecordAccess(t.Context(), user, nil, leger.AuditEvent{User: user, Action: leger.ActionSecretRead}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.TouchSession(t.Context(), "hash", start()); err != nil {
		t.Fatal(err)
	}
	after := s.Stats()
	if after.Transactions != before.Transactions+4 || after.Synced != before.Synced || after.Flushes != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	mustPut(t, s, user, "key", 1, "y")
	if got := s.Stats().Synced; got != before.Synced+1 {
		t.Errorf("a write after them took %d syncs, want 1", got-before.Synced)
	}
}

// The counters say what the writer meant; this asks the connection itself.
func TestConnectionIsSetToTheDurabilityOfEachWrite(t *testing.T) {
	t.Parallel()
	const normal, full = 1, 2 // https://www.sqlite.org/pragma.html#pragma_synchronous
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db")})
	got, err := s.SyncLevels(t.Context(), true, false, false, true, true, false)
	if want := []int64{full, normal, normal, full, full, normal}; err != nil || !slices.Equal(got, want) {
		t.Errorf("levels = %v, %v; want %v", got, err, want)
	}
}

func TestUnsyncedWritesAreSyncedSoon(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db"), SyncDelay: time.Millisecond})
	user := account(t, s)
	for round := int64(1); round <= 3; round++ {
		if err := s.RecordAccess(t.Context(), user, nil, leger.AuditEvent{User: user, Action: leger.ActionSecretRead}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the log is synced", func() bool { return s.Stats().Flushes == round })
	}
}

// An account that never rests must not put the sync off for ever.
func TestUnsyncedWritesAreSyncedUnderLoad(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db"), SyncDelay: 5 * time.Millisecond})
	user := account(t, s)
	eventually(t, "the log is synced three times", func() bool {
		if err := s.RecordAccess(t.Context(), user, nil, leger.AuditEvent{User: user, Action: leger.ActionSecretRead}); err != nil {
			t.Fatal(err)
		}
		return s.Stats().Flushes >= 3
	})
}

func TestContractBreakersAreToldSo(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db")})
	user := account(t, s)
	skips := write(user, name(t, "key"), 0, "x")
	skips.Sealed.Version = 7
	stranger := leger.UserIDOf(leger.TailscaleUserIDOf(2))
	for what, writes := range map[string][]leger.SecretWrite{
		"a version that does not follow": {skips},
		"writes of two accounts":         {write(user, name(t, "a"), 0, "x"), write(stranger, name(t, "b"), 0, "x")},
	} {
		if err := s.PutSecrets(t.Context(), writes); !errors.Is(err, leger.ErrInternal) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, err := s.SignIn(t.Context(), leger.SignIn{Identity: owner(), At: start()}, &leger.Session{User: stranger})
	if !errors.Is(err, leger.ErrInternal) {
		t.Errorf("somebody else's session: %v", err)
	}
}
