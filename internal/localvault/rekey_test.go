package localvault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailscale/setec/types/api"

	"leger.run/leger"
	"leger.run/leger/internal/killtest"
	"leger.run/leger/internal/localvault"
)

// openOwn opens a store with the key in its directory, which is made if it is not there.
func openOwn(t *testing.T, data string) *localvault.Store {
	t.Helper()
	cfg, err := ownKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, cfg)
}

func closeStore(t *testing.T, s *localvault.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// onlyFiles checks that a data directory holds the key, the store and the lock, and no
// other key.
func onlyFiles(t *testing.T, data string) {
	t.Helper()
	entries, err := os.ReadDir(data)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); err != nil || got != "key lock vault.db" {
		t.Errorf("the data directory holds %s, %v", got, err)
	}
}

// What a store held under the former key it holds under the new one: all versions, the
// numbers that were used up, and the digests that Podman's secrets carry.
func TestRekeyChangesNothingButTheKey(t *testing.T) {
	t.Parallel()
	data := filepath.Join(shortDir(t), "data")
	f := serve(t, localvault.HandlerConfig{Store: openOwn(t, data), Keeper: &keeper{}})
	ctx, u, n := t.Context(), user(t, 1), name(t, "key")
	for v := leger.Version(3); v <= 5; v++ {
		if err := f.client.CreateVersion(ctx, u, n, v, text(fmt.Sprint("value ", v))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.client.DeleteVersion(ctx, u, n, 4), f.client.Activate(ctx, u, n, 3)); err != nil {
		t.Fatal(err)
	}
	before := f.store.Digest(u, n, text("value 3"))
	oldKey, oldStore := readFile(t, filepath.Join(data, "key")), readFile(t, filepath.Join(data, "vault.db"))
	for round := range 2 {
		out, err := f.client.Rekey(ctx, data)
		if err != nil || out.KeyFile != filepath.Join(data, "key") {
			t.Fatalf("%+v %v", out, err)
		}
		onlyFiles(t, data)
		if key := readFile(t, out.KeyFile); key == oldKey {
			t.Error("the key is the former one")
		}
		if info, err := os.Stat(out.KeyFile); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key file: %v %v", info, err)
		}
		check := func(c *localvault.Client, s *localvault.Store) {
			list, err := c.List(ctx, u)
			if err != nil || fmt.Sprint(list) != "[{key 3 [3 5]}]" {
				t.Errorf("round %d: %v %v", round, list, err)
			}
			if got, _, err := c.Get(ctx, u, n, 5); err != nil || string(got.Reveal()) != "value 5" {
				t.Errorf("round %d: %v", round, err)
			}
			wantCode(t, c.CreateVersion(ctx, u, n, 4, text("again")), leger.ErrConflict)
			if held, err := s.Secrets(u); err != nil || len(held) != 1 || held[0].Digest != before {
				t.Errorf("round %d: the digest changed, so every Podman secret would be made anew: %v %v", round, held, err)
			}
		}
		check(f.client, f.store)
		closeStore(t, f.store)
		f = serve(t, localvault.HandlerConfig{Store: openOwn(t, data), Keeper: &keeper{}})
		check(f.client, f.store)
	}
	closeStore(t, f.store)
	oldKeyOpensNothing(t, data, oldKey, oldStore)
}

// oldKeyOpensNothing tries the former key, and the former data key with the new file:
// whoever had the key had that one, too.
func oldKeyOpensNothing(t *testing.T, data, oldKey, oldStore string) {
	t.Helper()
	key, err := localvault.ParseKey([]byte(oldKey))
	if err != nil {
		t.Fatal(err)
	}
	_, err = localvault.Open(localvault.Config{Dir: data, Key: key})
	if e := codeOf(t, err, leger.ErrInvalid); !strings.Contains(e.Message, "the key does not open the store") || !strings.Contains(e.Hint, "LEGERD_KEY_PREVIOUS") {
		t.Errorf("%v, %s", e, e.Hint)
	}
	var was, is struct {
		Version uint32
		DEK, DB []byte
	}
	for file, into := range map[string]any{oldStore: &was, readFile(t, filepath.Join(data, "vault.db")): &is} {
		if err := json.Unmarshal([]byte(file), into); err != nil {
			t.Fatal(err)
		}
	}
	was.DB = is.DB
	mixed, err := json.Marshal(was)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(other, "vault.db"), string(mixed), 0o600)
	_, err = localvault.Open(localvault.Config{Dir: other, Key: key})
	wantCode(t, err, leger.ErrInvalid)
}

// Killed at each step of a change of its key, a store opens with one of the keys that are
// there, and the next change goes through.
func TestKilledAtEachStepOfARekey(t *testing.T) {
	t.Parallel()
	for _, step := range localvault.RekeySteps {
		data := filepath.Join(shortDir(t), "data")
		u, n := user(t, 1), name(t, "key")
		f := serve(t, localvault.HandlerConfig{Store: openOwn(t, data)})
		if err := f.client.CreateVersion(t.Context(), u, n, 7, text("the value")); err != nil {
			t.Fatal(err)
		}
		digest := f.store.Digest(u, n, text("the value"))
		closeStore(t, f.store)
		oldKey, oldStore := readFile(t, filepath.Join(data, "key")), readFile(t, filepath.Join(data, "vault.db"))

		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "LOCALVAULT_TEST_ROLE=rekey", "DIR="+data, "STEP="+step)
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL { //nolint:forcetypeassert // on Linux it is one
			t.Fatalf("%s: it was not killed: %v %s", step, err, out)
		}
		s := openOwn(t, data)
		onlyFiles(t, data)
		if changed := readFile(t, filepath.Join(data, "key")) != oldKey; changed != (step == "store written" || step == "done") {
			t.Errorf("%s: the key was changed: %v", step, changed)
		}
		if _, err := s.Rekey(); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		value, v, err := s.Value(u, n)
		if err != nil || v != 7 || string(value.Reveal()) != "the value" || s.Digest(u, n, value) != digest {
			t.Errorf("%s: version %d, %v", step, v, err)
		}
		closeStore(t, s)
		onlyFiles(t, data)
		oldKeyOpensNothing(t, data, oldKey, oldStore)
	}
}

// A daemon is killed again and again, at any moment, while its key is changed and values
// are written.
func TestKilledInARekey(t *testing.T) {
	t.Parallel()
	kills := killtest.Times(t, 20)
	dir, u, n := shortDir(t), user(t, 1), name(t, "key")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	version, acked, changes := leger.Version(0), leger.Version(0), 0
	for round := range kills {
		d := startDaemon(t, dir, "OWN_KEY=1")
		timer := time.AfterFunc(time.Duration(random.IntN(200_000))*time.Microsecond, d.kill)
		for {
			version++
			if d.client.CreateVersion(t.Context(), u, n, version, text(valueOf(n, version))) != nil {
				break
			}
			acked = version
			if _, err := d.client.Rekey(t.Context(), ""); err != nil {
				break
			}
			changes++
		}
		timer.Stop()
		d.kill()
		d.wait()
		s := openOwn(t, filepath.Join(dir, "data"))
		onlyFiles(t, filepath.Join(dir, "data"))
		value, v, err := s.Value(u, n)
		if acked > 0 && (err != nil || v < acked || v > version || string(value.Reveal()) != valueOf(n, v)) {
			t.Fatalf("round %d: version %d of %d acknowledged: %v", round, v, acked, err)
		}
		closeStore(t, s)
	}
	t.Logf("%d changes of the key, %d writes, %d kills", changes, acked, kills)
	if changes == 0 {
		t.Errorf("no change went through: this tested nothing")
	}
}

// A disk that fails after the store was replaced leaves the daemon with the former key and
// the file with the new one. The next change must not take that one away first.
func TestRekeyAfterOneThatFailed(t *testing.T) {
	t.Parallel()
	data := filepath.Join(shortDir(t), "data")
	cfg, err := ownKey(data)
	if err != nil {
		t.Fatal(err)
	}
	path, aside := filepath.Join(data, "vault.db"), filepath.Join(data, "aside")
	former := readFile(t, cfg.From)
	fail := true
	s := openStore(t, cfg.AtStep(func(step string) {
		if step == "store written" && fail {
			if err := errors.Join(os.Rename(path, aside), os.Mkdir(path, 0o700)); err != nil {
				t.Error(err)
			}
		}
		if step == "begun" && !fail {
			if readFile(t, cfg.From) == former {
				t.Error("the key that opens the file is not in its place")
			}
		}
	}))
	if err := s.Replace(user(t, 1), name(t, "key"), 1, text("v")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rekey(); err == nil {
		t.Fatal("no error")
	}
	if err := errors.Join(os.Remove(path), os.Rename(aside, path)); err != nil {
		t.Fatal(err)
	}
	fail = false
	if _, err := s.Rekey(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	onlyFiles(t, data)
	if value, _, err := openOwn(t, data).Value(user(t, 1), name(t, "key")); err != nil || string(value.Reveal()) != "v" {
		t.Error(err)
	}
}

// A key that legerd was given is its giver's to change: with both keys, a start seals the
// store with the new one, and the former one is not needed any more.
func TestRekeyOfAKeyFromOutside(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	u, n := user(t, 1), name(t, "key")
	s := openStore(t, localvault.Config{Dir: data, Key: testKey(1), From: "systemd credential legerd-key"})
	if err := s.Replace(u, n, 1, text("v")); err != nil {
		t.Fatal(err)
	}
	digest := s.Digest(u, n, text("v"))
	_, err := s.Rekey()
	e := codeOf(t, err, leger.ErrConflict)
	for _, part := range []string{"systemd credential legerd-key", "LEGERD_KEY_PREVIOUS", "legerd-key-previous", "restart"} {
		if !strings.Contains(e.Message+e.Hint, part) {
			t.Errorf("%q is not in: %s\n%s", part, e.Message, e.Hint)
		}
	}
	closeStore(t, s)
	former := testKey(1)
	for _, cfg := range []localvault.Config{
		{Dir: data, Key: testKey(2), Former: &former}, {Dir: data, Key: testKey(2), Former: &former}, {Dir: data, Key: testKey(2)},
	} {
		s := openStore(t, cfg)
		if value, _, err := s.Value(u, n); err != nil || string(value.Reveal()) != "v" || s.Digest(u, n, value) != digest {
			t.Error(err)
		}
		closeStore(t, s)
	}
	_, err = localvault.Open(localvault.Config{Dir: data, Key: testKey(1)})
	wantCode(t, err, leger.ErrInvalid)
	third := testKey(3)
	_, err = localvault.Open(localvault.Config{Dir: data, Key: testKey(4), Former: &third})
	wantCode(t, err, leger.ErrInvalid)
}

func TestLoadFormerKey(t *testing.T) {
	t.Parallel()
	creds := t.TempDir()
	writeFile(t, filepath.Join(creds, "legerd-key-previous"), keyText(3), 0o440)
	want := localvault.NewKey([localvault.KeySize]byte([]byte(strings.Repeat("\x03", localvault.KeySize))))
	for _, pairs := range [][]string{{"CREDENTIALS_DIRECTORY", creds}, {"LEGERD_KEY_PREVIOUS", keyText(3)}} {
		if got, from, err := localvault.LoadFormerKey(source(creds, pairs...)); err != nil || got == nil || *got != want || from == "" {
			t.Errorf("%v: from %s, %v", pairs, from, err)
		}
	}
	if got, _, err := localvault.LoadFormerKey(source(creds)); err != nil || got != nil {
		t.Errorf("a former key that was not given: %v", err)
	}
	_, _, err := localvault.LoadFormerKey(source(creds, "LEGERD_KEY_PREVIOUS", "it's a secret"))
	if wantCode(t, err, leger.ErrInvalid); strings.Contains(err.Error(), "it's a secret") {
		t.Error("the error shows the key")
	}
}

// The key of the digests is no secret of anybody's, and nobody changes it.
func TestKeyOfTheDigestsIsNotServed(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{Store: openOwn(t, filepath.Join(shortDir(t), "data")), Keeper: &keeper{}})
	if _, err := f.client.Rekey(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	const kept = "leger-digests/key"
	c := setecClient(f.socket)
	if list, err := c.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("listed: %v %v", list, err)
	}
	if _, err := c.Get(t.Context(), kept); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if _, err := c.Put(t.Context(), kept, []byte("mine")); !errors.Is(err, api.ErrAccessDenied) {
		t.Errorf("put: %v", err)
	}
	if err := c.Delete(t.Context(), kept); !errors.Is(err, api.ErrAccessDenied) {
		t.Errorf("delete: %v", err)
	}
}

// Another data directory than the daemon's is not taken for it.
func TestRekeyOfAnotherDirectory(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{Store: openOwn(t, filepath.Join(shortDir(t), "data")), Keeper: &keeper{}})
	_, err := f.client.Rekey(t.Context(), t.TempDir())
	if e := codeOf(t, err, leger.ErrConflict); !strings.Contains(e.Hint, "--socket") {
		t.Errorf("%v %s", e, e.Hint)
	}
}
