package secretsync_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/secretsync"
)

const canary = "canary-7c1e0f-value"

var errDisk = errors.New("no space left on device")

func user(t testing.TB) leger.UserID {
	t.Helper()
	id, err := leger.ParseTailscaleUserID("u123456789")
	if err != nil {
		t.Fatal(err)
	}
	return leger.UserIDOf(id)
}

func secretName(t testing.TB, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func value(t testing.TB, name string, v leger.Version, text string) secretsync.Value {
	t.Helper()
	return secretsync.Value{Name: secretName(t, name), Version: v, Value: leger.NewPlaintext([]byte(text))}
}

// server is a server in memory. Its tag changes with its content.
type server struct {
	values   []secretsync.Value
	withheld []leger.SecretName
	origin   secretsync.Origin
	tag      string
	err      error
	asked    []string // the tags that callers sent
}

func (s *server) SecretValues(_ context.Context, etag string) (secretsync.List, error) {
	s.asked = append(s.asked, etag)
	if s.err != nil {
		return secretsync.List{}, s.err
	}
	if etag != "" && etag == s.tag {
		return secretsync.List{ETag: s.tag, NotModified: true}, nil
	}
	list := secretsync.List{ETag: s.tag, Origin: s.origin, Withheld: s.withheld}
	for _, v := range s.values { // the caller wipes its copy
		v.Value = leger.NewPlaintext(slices.Clone(v.Value.Reveal()))
		list.Values = append(list.Values, v)
	}
	return list, nil
}

// copied is a secret of Podman's. As in the daemon, its labels tell the version, the
// owner and, by a digest, the value.
type copied struct {
	version leger.Version
	value   string
}

// entry is one secret of the store, with setec's rules about numbers.
type entry struct {
	active leger.Version
	values map[leger.Version]string
	used   map[leger.Version]bool
}

// store is a legerd in memory that fails on demand: at its n-th call (from 1),
// before or after the call took effect.
type store struct {
	one     sync.Mutex // its calls go one after the other, as legerd's do
	secrets map[leger.SecretName]*entry
	calls   []string
	podman  map[leger.SecretName]copied // what Reconcile made of it
	verdict map[leger.SecretName]error

	failAt int
	after  bool
	fail   func() error // what the failing call answers; nil: it only happens (Ctrl-C)
	dead   bool         // every call after it fails, too

	noPodman error // what Reconcile and Leftovers answer; nil: Podman is there
	// foreign are those of Podman's secrets that are another account's
	foreign map[leger.SecretName]leger.UserID
}

func newStore() *store {
	return &store{
		secrets: map[leger.SecretName]*entry{}, podman: map[leger.SecretName]copied{},
		verdict: map[leger.SecretName]error{}, foreign: map[leger.SecretName]leger.UserID{},
	}
}

func (s *store) put(name leger.SecretName, v leger.Version, text string, older ...leger.Version) {
	e := &entry{active: v, values: map[leger.Version]string{v: text}, used: map[leger.Version]bool{v: true}}
	for _, o := range older {
		e.values[o], e.used[o] = "old", true
	}
	s.secrets[name] = e
	s.podman[name] = copied{v, text}
}

func (s *store) do(call string, effect func() error) error {
	s.one.Lock()
	defer s.one.Unlock()
	s.calls = append(s.calls, call)
	n := len(s.calls)
	failing := s.failAt > 0 && (n == s.failAt || (s.dead && n > s.failAt))
	if failing && (!s.after || n > s.failAt) {
		if err := s.fail(); err != nil {
			return err
		}
	}
	err := effect()
	if failing && s.after {
		if lost := s.fail(); lost != nil {
			return lost
		}
	}
	return err
}

func (s *store) List(context.Context) (held []secretsync.Held, err error) {
	err = s.do("list", func() error {
		for name, e := range s.secrets {
			held = append(held, secretsync.Held{Name: name, Active: e.active, Kept: slices.Sorted(maps.Keys(e.values))})
		}
		return nil
	})
	return held, err
}

func (s *store) Value(_ context.Context, name leger.SecretName, v leger.Version) (p leger.Plaintext, err error) {
	err = s.do("value", func() error {
		text, ok := s.valueOf(name, v)
		if !ok {
			return leger.ErrNotFound
		}
		p = leger.NewPlaintext([]byte(text))
		return nil
	})
	return p, err
}

func (s *store) valueOf(name leger.SecretName, v leger.Version) (text string, ok bool) {
	if e := s.secrets[name]; e != nil {
		text, ok = e.values[v]
	}
	return text, ok
}

func (s *store) Activate(_ context.Context, name leger.SecretName, v leger.Version) error {
	return s.do("activate", func() error {
		if _, ok := s.valueOf(name, v); !ok {
			return leger.ErrNotFound
		}
		s.secrets[name].active = v
		return nil
	})
}

func (s *store) Create(ctx context.Context, name leger.SecretName, v leger.Version, p leger.Plaintext) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.do("create", func() error {
		e := s.secrets[name]
		if e == nil {
			e = &entry{values: map[leger.Version]string{}, used: map[leger.Version]bool{}}
			s.secrets[name] = e
		}
		if e.used[v] {
			return leger.ErrConflict
		}
		e.active, e.values[v], e.used[v] = v, string(p.Reveal()), true
		return nil
	})
}

func (s *store) Replace(ctx context.Context, name leger.SecretName, v leger.Version, p leger.Plaintext) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.do("replace", func() error {
		s.secrets[name] = &entry{
			active: v, values: map[leger.Version]string{v: string(p.Reveal())}, used: map[leger.Version]bool{v: true},
		}
		return nil
	})
}

func (s *store) Leftovers(context.Context) (out []secretsync.Leftover, err error) {
	err = s.do("leftovers", func() error {
		for name, c := range s.podman {
			if owner := s.foreign[name]; s.secrets[name] == nil || !owner.IsZero() {
				out = append(out, secretsync.Leftover{Name: name, Version: c.version, Owner: owner})
			}
		}
		return s.noPodman
	})
	return out, err
}

func (s *store) DeleteVersion(_ context.Context, name leger.SecretName, v leger.Version) error {
	return s.do("drop", func() error {
		e := s.secrets[name]
		if e == nil {
			return leger.ErrNotFound
		}
		if e.active == v {
			return leger.Invalid("version", "it is active")
		}
		delete(e.values, v)
		return nil
	})
}

func (s *store) Delete(ctx context.Context, name leger.SecretName) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.do("delete", func() error {
		if s.secrets[name] == nil {
			return leger.ErrNotFound
		}
		delete(s.secrets, name)
		return nil
	})
}

func (s *store) Reconcile(_ context.Context, remove []leger.SecretName) (out []secretsync.Verdict, err error) {
	err = s.do("reconcile", func() error {
		if s.noPodman != nil {
			return s.noPodman
		}
		for name, e := range s.secrets {
			if s.verdict[name] == nil {
				s.podman[name] = copied{e.active, e.values[e.active]}
				delete(s.foreign, name)
			}
			out = append(out, secretsync.Verdict{Name: name, State: "ok", Err: s.verdict[name]})
		}
		for name := range s.podman {
			if s.secrets[name] == nil && slices.Contains(remove, name) {
				delete(s.podman, name)
				delete(s.foreign, name)
			}
		}
		return nil
	})
	return out, err
}

// state is what the store serves: name → value.
func (s *store) state() map[string]string {
	out := map[string]string{}
	for name, e := range s.secrets {
		out[name.String()] = e.values[e.active]
	}
	return out
}

// inPodman is what containers get: name → value.
func (s *store) inPodman() map[string]string {
	out := map[string]string{}
	for name, c := range s.podman {
		out[name.String()] = c.value
	}
	return out
}
