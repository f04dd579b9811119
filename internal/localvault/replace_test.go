package localvault_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tailscale/setec/types/api"

	"leger.run/leger"
	"leger.run/leger/internal/killtest"
	"leger.run/leger/internal/localvault"
)

// The story: a server that was restored gave version 2 to another value. The
// store took no number twice, so the secret was deleted and made again, in two
// requests: a client that ended in between took the secret away from Podman.
func TestAnotherValueUnderTheSameVersion(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{Keeper: &keeper{}})
	c, ctx, u, key := f.client, t.Context(), user(t, 1), name(t, "key")
	for v, value := range map[leger.Version]string{1: "one", 2: "two"} {
		if err := c.CreateVersion(ctx, u, key, v, text(value)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []leger.SecretName{key, name(t, "not_there_yet")} {
		if err := c.Replace(ctx, u, n, 2, text("another")); err != nil {
			t.Fatal(err)
		}
		if got, v, err := c.Get(ctx, u, n, 0); err != nil || v != 2 || string(got.Reveal()) != "another" {
			t.Errorf("%s is at version %d, %v", n, v, err)
		}
	}
	stored, err := c.List(ctx, u)
	want := []localvault.Stored{
		{Name: key, Active: 2, Versions: []leger.Version{2}},
		{Name: name(t, "not_there_yet"), Active: 2, Versions: []leger.Version{2}},
	}
	if diff := cmp.Diff(want, stored, equal()); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if err := c.CreateVersion(ctx, u, key, 3, text("three")); err != nil {
		t.Errorf("the next version: %v", err)
	}
	wantCode(t, c.Replace(ctx, u, key, 0, text("x")), leger.ErrInvalid)
	wantCode(t, c.Replace(ctx, u, key, 1, text("")), leger.ErrInvalid)
}

// A store is opened that was cut at each point of a replacement.
func TestACutReplacementIsFinished(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct{ there, waits, want string }{
		"before the old value went":        {there: "old", waits: "new", want: "old"},
		"after it, before the new one was": {waits: "new", want: "new"},
		"before the copy went":             {there: "new", waits: "new", want: "new"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := serve(t, localvault.HandlerConfig{})
			u, key := user(t, 1), name(t, "key")
			if test.there != "" {
				if err := f.client.CreateVersion(t.Context(), u, key, 4, text(test.there)); err != nil {
					t.Fatal(err)
				}
			}
			waiting := "leger-replacing/" + localvault.StoredName(u, key)
			if err := setecClient(f.socket).CreateVersion(t.Context(), waiting, 4, []byte(test.waits)); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(filepath.Dir(filepath.Dir(f.socket)), "data")
			if err := f.store.Close(); err != nil {
				t.Fatal(err)
			}
			again := serve(t, localvault.HandlerConfig{Store: openStore(t, localvault.Config{Dir: dir, Key: testKey(1)})})
			value, v, err := again.store.Value(u, key)
			if err != nil || v != 4 || string(value.Reveal()) != test.want {
				t.Errorf("version %d, %v; want the %s value", v, err, test.want)
			}
			if _, err := setecClient(again.socket).Get(t.Context(), waiting); !errors.Is(err, api.ErrNotFound) {
				t.Errorf("the copy is still there: %v", err)
			}
		})
	}
}

// A daemon is killed again and again while one version gets one value after the
// other. It has the last acknowledged value or the one that was being written.
func TestKilledInAReplacement(t *testing.T) {
	t.Parallel()
	kills := killtest.Times(t, 12)
	dir, u, key := shortDir(t), user(t, 1), name(t, "key")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	value := func(n int) string { return strings.Repeat(fmt.Sprintf("value %d;", n), 2000) }
	n, acked := 0, 0
	for round := range kills {
		d := startDaemon(t, dir)
		if n == 0 {
			if err := d.client.CreateVersion(t.Context(), u, key, 1, text(value(0))); err != nil {
				t.Fatal(err)
			}
		}
		timer := time.AfterFunc(time.Duration(random.IntN(30_000))*time.Microsecond, d.kill)
		for {
			n++
			if d.client.Replace(t.Context(), u, key, 1, text(value(n))) != nil {
				break
			}
			acked = n
		}
		timer.Stop()
		d.wait()
		store, err := localvault.Open(localvault.Config{Dir: filepath.Join(dir, "data"), Key: testKey(7)})
		if err != nil {
			t.Fatal(err)
		}
		got, v, err := store.Value(u, key)
		if err != nil || v != 1 {
			t.Fatalf("round %d: version %d, %v", round, v, err)
		}
		switch string(got.Reveal()) {
		case value(acked):
		case value(n):
			acked = n
		default:
			t.Fatalf("round %d: neither the value that was acknowledged nor the next", round)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged replacements, %d kills", acked, kills)
}

// A digest tells values apart and says nothing without the key.
func TestDigest(t *testing.T) {
	t.Parallel()
	const canary = "canary-digest"
	dir := t.TempDir()
	store := openStore(t, localvault.Config{Dir: filepath.Join(dir, "a"), Key: testKey(1)})
	other := openStore(t, localvault.Config{Dir: filepath.Join(dir, "b"), Key: testKey(2)})
	alice, bob, a, b := user(t, 1), user(t, 2), name(t, "a"), name(t, "b")
	seen := map[string]string{}
	for what, d := range map[string]string{
		"a secret":      store.Digest(alice, a, text(canary)),
		"another value": store.Digest(alice, a, text(canary+"2")),
		"another name":  store.Digest(alice, b, text(canary)),
		"another user":  store.Digest(bob, a, text(canary)),
		"another key":   other.Digest(alice, a, text(canary)),
	} {
		if raw, err := hex.DecodeString(d); err != nil || len(raw) != 16 {
			t.Errorf("%s: %q", what, d)
		}
		if was, twice := seen[d]; twice {
			t.Errorf("%s has the digest of %s", what, was)
		}
		seen[d] = what
	}
	if again := store.Digest(alice, a, text(canary)); seen[again] != "a secret" {
		t.Error("a value has two digests")
	}
}
