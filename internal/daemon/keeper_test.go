package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/daemon"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman"
)

// memory is a store and a Podman without files or sockets, for tests in a bubble
// of fake time.
type memory struct {
	mu      sync.Mutex
	stored  map[leger.SecretName]leger.Version
	made    map[string]podman.Secret
	values  map[string]string
	next    int
	looks   int              // listings of Podman's secrets
	asked   int              // calls to Podman
	away    error            // every call to Podman
	refuse  map[string]error // calls to Podman about one name
	onLook  func(m *memory)  // runs after each listing, with the lock held
	changed chan struct{}
}

func newMemory() *memory {
	return &memory{
		stored: map[leger.SecretName]leger.Version{}, made: map[string]podman.Secret{}, values: map[string]string{},
		refuse: map[string]error{}, changed: make(chan struct{}, 1),
	}
}

func (m *memory) store(n leger.SecretName, v leger.Version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v == 0 {
		delete(m.stored, n)
	} else {
		m.stored[n] = v
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func (m *memory) set(do func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do(m)
}

// counts gives how often Podman's secrets were listed, and Podman asked at all.
func (m *memory) counts() (looks, asked int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.looks, m.asked
}

// podmanHas shows Podman's secrets as "name=value@version".
func (m *memory) podmanHas() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, n := range slices.Sorted(maps.Keys(m.made)) {
		out = append(out, fmt.Sprintf("%s=%s@%s", n, m.values[n], m.made[n].Labels[daemon.LabelVersion]))
	}
	return strings.Join(out, " ")
}

func (m *memory) Changed() <-chan struct{} { return m.changed }

func (m *memory) listed(u leger.UserID) ([]localvault.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []localvault.Secret
	for n, v := range m.stored {
		out = append(out, localvault.Secret{Name: n, Version: v, Digest: m.Digest(u, n, text(valueOf(u, n, v)))})
	}
	return out, nil
}

func (m *memory) Digest(u leger.UserID, n leger.SecretName, value leger.Plaintext) string {
	return fmt.Sprintf("%s/%s/%d", u, n, value.Len())
}

func (m *memory) Value(u leger.UserID, n leger.SecretName) (leger.Plaintext, leger.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.stored[n]
	if !ok {
		return leger.Plaintext{}, 0, leger.ErrNotFound
	}
	return text(valueOf(u, n, v)), v, nil
}

func valueOf(u leger.UserID, n leger.SecretName, v leger.Version) string {
	return fmt.Sprintf("%s-%s-%d", u.String()[35:], n, v)
}

func (m *memory) Version(context.Context) (podman.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return podman.Version{Major: 5, Minor: 8, Patch: 6}, m.away
}

func (m *memory) Secrets(context.Context) ([]podman.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	out := slices.Collect(maps.Values(m.made))
	if m.onLook != nil {
		m.onLook(m)
	}
	return out, m.away
}

func (m *memory) CreateSecret(_ context.Context, n leger.SecretName, value leger.Plaintext, labels map[string]string, replace bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(m.away, m.refuse[n.String()]); err != nil {
		return err
	}
	if _, exists := m.made[n.String()]; exists && !replace {
		return leger.Errorf(leger.CodeConflict, "exists")
	}
	m.put(n.String(), string(value.Reveal()), labels)
	return nil
}

// put makes a secret; the lock is held.
func (m *memory) put(n, value string, labels map[string]string) {
	m.next++
	m.made[n] = podman.Secret{ID: fmt.Sprintf("%025x", m.next), Name: n, Labels: labels}
	m.values[n] = value
}

func (m *memory) RemoveSecret(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, s := range m.made {
		if s.ID == id {
			delete(m.made, n)
			return m.away
		}
	}
	return leger.ErrNotFound
}

// storeSide gives the store's half of a memory its own method set: both halves
// have a method called Secrets.
type storeSide struct{ *memory }

func (s storeSide) Secrets(u leger.UserID) ([]localvault.Secret, error) { return s.listed(u) }

func keeper(t testing.TB, m *memory, dir string, log *slog.Logger) *daemon.Keeper {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k, err := daemon.NewKeeper(daemon.KeeperConfig{Store: storeSide{m}, Podman: m, Dir: dir, Version: "test", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func forUser(t testing.TB, n int, remove ...leger.SecretName) localvault.Order {
	t.Helper()
	u := user(t, n)
	return localvault.Order{User: &u, Remove: remove}
}

func wantCode(t testing.TB, err error, want *leger.Error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want code %s", err, want.Code)
	}
}

// verdicts shows a report as "name action".
func verdicts(r localvault.Report) string {
	var out []string
	for _, o := range r.Secrets {
		out = append(out, fmt.Sprintf("%s %s", o.Name, o.Action))
	}
	return strings.Join(out, "; ")
}

func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestReconcileMakesPodmanFollow(t *testing.T) {
	t.Parallel()
	m, ctx := newMemory(), t.Context()
	k := keeper(t, m, t.TempDir(), nil)
	_, err := k.Reconcile(ctx, localvault.Order{})
	wantCode(t, err, leger.ErrNotFound)

	m.store(name(t, "a"), 1)
	m.store(name(t, "b"), 2)
	m.set(func(m *memory) { m.put("mine", "own", nil) })
	r, err := k.Reconcile(ctx, forUser(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "first", verdicts(r), "a created; b created")
	m.store(name(t, "a"), 3)
	m.store(name(t, "b"), 0)
	if r, err = k.Reconcile(ctx, localvault.Order{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	want(t, "a look", verdicts(r), "a replaced; b kept")
	want(t, "Podman after a look", m.podmanHas(), "a=1-a-1@1 b=1-b-2@2 mine=own@")
	if r, err = k.Reconcile(ctx, localvault.Order{Remove: []leger.SecretName{name(t, "b")}}); err != nil {
		t.Fatal(err)
	}
	want(t, "second", verdicts(r), "a replaced; b removed")
	want(t, "Podman", m.podmanHas(), "a=1-a-3@3 mine=own@")
	if r, err = k.Reconcile(ctx, localvault.Order{}); err != nil || !r.OK() {
		t.Fatal(err)
	}
	want(t, "third", verdicts(r), "a unchanged")
	// Another user's sync on the same account of the machine.
	if _, err = k.Reconcile(ctx, forUser(t, 2)); err != nil {
		t.Fatal(err)
	}
	want(t, "the other user's", m.podmanHas(), "a=2-a-3@3 mine=own@")
}

// The story: signing in as somebody else and syncing took every Podman secret of
// the former account away from its running containers, with exit 0. And a damaged
// store that was moved away, as the hint says, did so as soon as legerd started.
func TestNothingIsRemovedUnasked(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		order  localvault.Order
		then   string
		podman string
	}{
		"a store that was lost": {localvault.Order{}, "a kept; b kept", "a=1-a-1@1 b=1-b-1@1"},
		"another account":       {forUser(t, 2), "a kept; b kept", "a=1-a-1@1 b=1-b-1@1"},
		"another account's consent to one": {
			forUser(t, 2, name(t, "a")), "a removed; b kept", "b=1-b-1@1",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				k := keeper(t, m, dir, nil)
				m.store(name(t, "a"), 1)
				m.store(name(t, "b"), 1)
				if _, err := k.Reconcile(t.Context(), forUser(t, 1)); err != nil {
					t.Fatal(err)
				}
				m.set(func(m *memory) { clear(m.stored) })
				r, err := k.Reconcile(t.Context(), test.order)
				if err != nil || r.OK() {
					t.Errorf("%+v %v", r, err)
				}
				want(t, "verdict", verdicts(r), test.then)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); k.Run(ctx) }()
				pass(time.Hour)
				want(t, "Podman an hour later", m.podmanHas(), test.podman)
				stop()
				<-ended
			})
		})
	}
}

func TestConflictUntilAdopted(t *testing.T) {
	t.Parallel()
	m, ctx := newMemory(), t.Context()
	k := keeper(t, m, t.TempDir(), nil)
	m.store(name(t, "a"), 1)
	m.set(func(m *memory) { m.put("a", "own", nil) })
	r, err := k.Reconcile(ctx, forUser(t, 1))
	if err != nil || r.OK() || len(r.Secrets) != 1 {
		t.Fatalf("%v %v", r, err)
	}
	if o := r.Secrets[0]; o.Action != localvault.ActionConflict || o.Error == nil || !strings.Contains(o.Error.Hint, "leger secrets adopt a") {
		t.Errorf("not a helpful conflict: %+v", o)
	}
	want(t, "theirs", m.podmanHas(), "a=own@")
	_, err = k.Adopt(ctx, name(t, "b"))
	wantCode(t, err, leger.ErrNotFound)
	o, err := k.Adopt(ctx, name(t, "a"))
	if err != nil || o.Action != localvault.ActionReplaced {
		t.Fatalf("%+v %v", o, err)
	}
	want(t, "adopted", m.podmanHas(), "a=1-a-1@1")
}

// Somebody makes a secret of the same name between our look and our write.
func TestSecretThatAppearsMeanwhileIsAConflict(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.store(name(t, "a"), 1)
	m.onLook = func(m *memory) { m.put("a", "own", nil) }
	r, err := keeper(t, m, t.TempDir(), nil).Reconcile(t.Context(), forUser(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "verdict", verdicts(r), "a conflict")
	want(t, "theirs", m.podmanHas(), "a=own@")
}

func TestOneFailureDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for _, n := range []string{"a", "b", "c"} {
		m.store(name(t, n), 1)
	}
	m.refuse["b"] = leger.Errorf(leger.CodeUnavailable, "disk full").WithHint("make room")
	r, err := keeper(t, m, t.TempDir(), nil).Reconcile(t.Context(), forUser(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "verdicts", verdicts(r), "a created; b failed; c created")
	if p := r.Secrets[1].Error; p == nil || p.Message != "disk full" || p.Hint != "make room" {
		t.Errorf("the reason is lost: %+v", p)
	}
}

func TestUserSurvivesARestart(t *testing.T) {
	t.Parallel()
	m, dir := newMemory(), t.TempDir()
	m.store(name(t, "a"), 1)
	if _, err := keeper(t, m, dir, nil).Reconcile(t.Context(), forUser(t, 1)); err != nil {
		t.Fatal(err)
	}
	again := keeper(t, m, dir, nil)
	if s := again.Status(t.Context()); s.User == nil || *s.User != user(t, 1) || s.Secrets != 1 {
		t.Errorf("forgot: %+v", s)
	}
	if _, err := again.Reconcile(t.Context(), localvault.Order{}); err != nil {
		t.Error(err)
	}
	// A file that was damaged is forgotten, not fatal.
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(`{"user":"x`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := keeper(t, m, dir, nil).Status(t.Context()); s.User != nil {
		t.Errorf("made up a user: %+v", s)
	}
}

func TestPodmanAwayIsSaidAndRemembered(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.away = leger.Errorf(leger.CodeMissingPart, "no Podman").WithHint("install it")
	k := keeper(t, m, t.TempDir(), nil)
	_, err := k.Reconcile(t.Context(), forUser(t, 1))
	wantCode(t, err, leger.ErrMissingPart)
	s := k.Status(t.Context())
	if s.Podman.Error == nil || s.Podman.Error.Hint != "install it" || s.User == nil {
		t.Errorf("status: %+v", s)
	}
}

// pass lets time pass in a bubble, and what is due then happen.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's time, not ours
	synctest.Wait()
}

// The loop, in fake time: bubbles of testing/synctest, where all goroutines being
// idle moves the clock.
func TestLoop(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]func(t *testing.T, m *memory, k *daemon.Keeper){
		"follows a write after it has settled": func(t *testing.T, m *memory, _ *daemon.Keeper) {
			m.store(name(t, "a"), 2)
			pass(daemon.DefaultSettle + time.Millisecond)
			want(t, "Podman", m.podmanHas(), "a=1-a-2@2")
		},
		"many writes wake Podman once": func(t *testing.T, m *memory, _ *daemon.Keeper) {
			before, _ := m.counts()
			for v := range 50 {
				m.store(name(t, "a"), leger.Version(v+2))
				pass(time.Millisecond)
			}
			pass(time.Second)
			looks, _ := m.counts()
			if got := looks - before; got != 1 {
				t.Errorf("looked %d times", got)
			}
			want(t, "Podman", m.podmanHas(), "a=1-a-51@51")
		},
		"a secret removed by hand comes back": func(t *testing.T, m *memory, _ *daemon.Keeper) {
			m.set(func(m *memory) { delete(m.made, "a") })
			pass(daemon.DefaultCheck + time.Second)
			want(t, "Podman", m.podmanHas(), "a=1-a-1@1")
		},
		"an idle hour is twelve looks": func(t *testing.T, m *memory, _ *daemon.Keeper) {
			before, _ := m.counts()
			pass(time.Hour + time.Second)
			looks, _ := m.counts()
			if got := looks - before; got != 12 {
				t.Errorf("looked %d times", got)
			}
		},
		"Podman away: tries again, less and less often, and then catches up": func(t *testing.T, m *memory, _ *daemon.Keeper) {
			m.set(func(m *memory) { m.away, m.asked = leger.Errorf(leger.CodeUnavailable, "away"), 0 })
			m.store(name(t, "a"), 2)
			pass(time.Minute)
			// At once, and then after 1, 2, 4, 8, 16 seconds; 32 more are not over yet.
			if _, asked := m.counts(); asked != 6 {
				t.Errorf("asked %d times in a minute", asked)
			}
			m.set(func(m *memory) { m.away = nil })
			pass(10 * time.Second)
			want(t, "Podman", m.podmanHas(), "a=1-a-2@2")
		},
		"a request that failed is finished by the loop": func(t *testing.T, m *memory, k *daemon.Keeper) {
			m.set(func(m *memory) { m.refuse["b"] = leger.Errorf(leger.CodeUnavailable, "no") })
			m.store(name(t, "b"), 1)
			if r, err := k.Reconcile(t.Context(), localvault.Order{}); err != nil || r.OK() {
				t.Fatalf("%v %v", r, err)
			}
			m.set(func(m *memory) { clear(m.refuse) })
			pass(3 * time.Second)
			want(t, "Podman", m.podmanHas(), "a=1-a-1@1 b=1-b-1@1")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				k := keeper(t, m, dir, nil)
				m.store(name(t, "a"), 1)
				if _, err := k.Reconcile(t.Context(), forUser(t, 1)); err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); k.Run(ctx) }()
				pass(time.Second)
				test(t, m, k)
				stop()
				<-ended
			})
		})
	}
}

// Podman was away for a day: 24 h of tries every five minutes, and one warning.
func TestAnOutageIsLoggedOnceAndWithoutValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		k := keeper(t, m, dir, slog.New(slog.NewTextHandler(&log, nil)))
		m.store(name(t, "a"), 1)
		if _, err := k.Reconcile(t.Context(), forUser(t, 1)); err != nil {
			t.Fatal(err)
		}
		m.set(func(m *memory) { m.away = leger.Errorf(leger.CodeUnavailable, "away") })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()
		pass(24 * time.Hour)
		stop()
		<-ended
	})
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	if strings.Contains(log.String(), "1-a-1") {
		t.Errorf("a value is in the log:\n%s", log.String())
	}
}
