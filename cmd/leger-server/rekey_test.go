package main_test

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/killtest"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/vault"
)

// keyIDs gives the ids of the keys that seal the records of a data directory.
func keyIDs(t *testing.T, data string) []string {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(data, "leger.db"), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	ids, err := store.KeyIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// After a rekey the former key opens nothing and can go, no machine has anything to
// fetch, and the server has answered all the while.
func TestRekeyWhileServing(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 30)
	want := values(t, c)
	before := keyIDs(t, s.data)
	out := succeeds(t, "rekey", "--data", s.data)
	wantText(t, out, "Sealed 32 records", "no longer needs the key "+before[0], "--forget-old", "Back the new key up now")
	after := keyIDs(t, s.data)
	if len(after) != 1 || after[0] == before[0] {
		t.Errorf("the records are sealed with %q, and were with %q", after, before)
	}
	got := values(t, c)
	sameSecrets(t, got, want)
	if got.ETag != want.ETag || got.Epoch != want.Epoch {
		t.Errorf("the ETag is %s at epoch %d, want %s at %d: machines would fetch everything anew", got.ETag, got.Epoch, want.ETag, want.Epoch)
	}
	set(t, c, "written", "after the rekey")
	wantText(t, succeeds(t, "rekey", "--forget-old", "--data", s.data), "Removed the key "+before[0])
	if exists(filepath.Join(s.data, "encryption.previous")) {
		t.Error("the former key is still there")
	}
	if exists(filepath.Join(s.data, "rekey.json")) {
		t.Error("the mark of the rekey is still there")
	}
	wantText(t, succeeds(t, "rekey", "--forget-old", "--data", s.data), "There is no former key")
	s.kill()
	s = start(t, s.data, nil)
	if list := values(t, s.client()); len(list.Secrets) != 31 {
		t.Errorf("%d secrets open with the new key alone", len(list.Secrets))
	}
	// And once more without a server; what was left is a dead socket.
	s.kill()
	wantText(t, succeeds(t, "rekey", "--data", s.data), "Sealed 33 records")
	sameSecrets(t, client.SecretList{Secrets: values(t, start(t, s.data, nil).client()).Secrets[:30]}, want)
}

// rekeyRecords is how many records the test below has; make rekey asks for 100,000.
func rekeyRecords(t *testing.T) int {
	t.Helper()
	n := 600
	if text := os.Getenv("LEGER_REKEY_RECORDS"); text != "" {
		if _, err := fmt.Sscanf(text, "%d", &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// fillRecords writes n records below the API, 20 versions of each secret, and gives
// the users that own them.
func fillRecords(t *testing.T, data string, n int) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(data, "encryption.key"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := vault.ParseKeyRing(string(key), "")
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(data, "leger.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	v := vault.New(vault.Config{Keys: ring, Secrets: store, Now: time.Now, Random: rand.Reader})
	for user := 0; n > 0; user++ {
		id := leger.LocalIdentity(fmt.Sprintf("user%d@example.com", user))
		u, _, err := store.SignIn(t.Context(), leger.SignIn{Identity: id, At: time.Now()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		secrets := min(max(n/leger.KeptSecretVersions, 1), 1000)
		for version := range leger.KeptSecretVersions {
			var items []vault.Item
			for i := range secrets {
				value := leger.NewPlaintext(fmt.Appendf(nil, "%d %d %d", user, i, version))
				items = append(items, vault.Item{Name: name(t, fmt.Sprintf("s%d", i)), Value: value})
			}
			if _, err := v.PutAll(t.Context(), u.ID, items, false, leger.AuditEvent{User: u.ID, At: time.Now()}); err != nil {
				t.Fatal(err)
			}
			n -= secrets
		}
	}
}

// A rekey that is killed five times, in turn the command and the server, while somebody
// writes, ends with every record under one key.
func TestKilledRekeyConverges(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, nil)
	s.kill()
	records := rekeyRecords(t)
	fillRecords(t, data, records)
	former := keyIDs(t, data)
	s = start(t, data, nil)
	mine := map[string]string{}
	delay := time.Duration(records) * 10 * time.Microsecond
	rounds := killtest.Times(t, 5)
	for round := range rounds {
		c := s.client()
		for secret, value := range mine {
			if got, err := c.Secret(t.Context(), name(t, secret)); err != nil || *got.Value != value {
				t.Fatalf("round %d: %s does not open: %v", round, secret, err)
			}
		}
		if round%2 == 0 {
			killedAfter(t, delay*time.Duration(round%12+1), "rekey", "--data", data)
		} else {
			killed := time.AfterFunc(delay*time.Duration(round%12+1), s.kill)
			_, _ = command(t, nil, "rekey", "--data", data).CombinedOutput() // its server may end
			killed.Stop()
			s.kill()
			s = start(t, data, nil)
			c = s.client()
		}
		key := fmt.Sprintf("mine_%d", round%50)
		mine[key] = fmt.Sprint("written in round ", round)
		set(t, c, key, mine[key])
	}
	began := time.Now()
	succeeds(t, "rekey", "--data", data)
	t.Logf("%d records; the last run took %v", records, time.Since(began))
	succeeds(t, "rekey", "--forget-old", "--data", data)
	s.kill()
	after := keyIDs(t, data)
	if len(after) != 1 || slices.Contains(after, former[0]) {
		t.Errorf("sealed with %q, before with %q", after, former)
	}
	file := filepath.Join(t.TempDir(), "leger.backup")
	succeeds(t, "backup", file, "--data", data) // opens every record, with the one key that is left
	wantText(t, succeeds(t, "verify", file, "--data", data), "Every record was opened", after[0])
}

// Each place in which the change of the key files can be cut is made here, and the next
// rekey goes on from it.
func TestRekeyGoesOnAfterAnyStep(t *testing.T) {
	t.Parallel()
	const next = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	for what, cut := range map[string]func(data, current, id string){
		"marked": func(data, _, id string) {
			writeKey(t, data, "rekey.json", `{"from":"`+id+`"}`)
		},
		"former key kept": func(data, current, id string) {
			writeKey(t, data, "rekey.json", `{"from":"`+id+`"}`)
			writeKey(t, data, "encryption.previous", current)
		},
		"new key written": func(data, current, id string) {
			writeKey(t, data, "rekey.json", `{"from":"`+id+`"}`)
			writeKey(t, data, "encryption.previous", current)
			writeKey(t, data, "encryption.key", next)
		},
	} {
		data := dataWithSecret(t)
		current, err := os.ReadFile(filepath.Join(data, "encryption.key"))
		if err != nil {
			t.Fatal(err)
		}
		id := keyIDs(t, data)[0]
		cut(data, strings.TrimSpace(string(current)), id)
		s := start(t, data, nil)
		wantText(t, s.output(), "a rekey was interrupted")
		if what == "new key written" {
			fails(t, 1, nil, []string{"rekey", "--forget-old", "--data", data}, "a rekey was interrupted", "hint: ")
		}
		succeeds(t, "rekey", "--data", data)
		succeeds(t, "rekey", "--forget-old", "--data", data)
		s.kill()
		if ids := keyIDs(t, data); len(ids) != 1 || ids[0] == id {
			t.Errorf("%s: sealed with %q", what, ids)
		}
		if got, err := start(t, data, nil).client().Secret(t.Context(), name(t, "k")); err != nil || *got.Value != "v" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func writeKey(t *testing.T, data, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(data, file), []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Keys that are set outside are the operator's to change; rekey then seals with them.
func TestRekeyWithAKeyFromOutside(t *testing.T) {
	t.Parallel()
	data := dataWithSecret(t)
	old, err := os.ReadFile(filepath.Join(data, "encryption.key"))
	if err != nil {
		t.Fatal(err)
	}
	former := strings.TrimSpace(string(old))
	fails(t, 1, []string{"ENCRYPTION_KEY=" + former}, []string{"rekey", "--data", data}, "set outside the data directory", "ENCRYPTION_KEY_PREVIOUS")
	const next = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	env := []string{"ENCRYPTION_KEY=" + next, "ENCRYPTION_KEY_PREVIOUS=" + former}
	start(t, data, env)
	// The command itself has no keys in its environment: the server's count.
	wantText(t, succeeds(t, "rekey", "--data", data), "Finished an earlier change", "Sealed 1 record")
}

// openDir is a directory that every user may look into.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "leger-control")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Only the server's own user and root may ask it, whatever the modes say.
func TestControlSocketRefusesOtherUsers(t *testing.T) {
	t.Parallel()
	data := filepath.Join(openDir(t), "data")
	s := start(t, data, nil)
	socket := filepath.Join(data, "control.sock")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	for path, mode := range map[string]os.FileMode{data: 0o755, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := command(t, nil, "rekey", "--data", data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "only the server's own user may do this") {
		t.Errorf("another user: %v; this test needs root\n%s", err, out)
	}
	wantText(t, s.output(), "refused a command of another user")
}

// A server that ends before it has answered has not done what was asked.
func TestServerThatEndsIsNoSuccess(t *testing.T) {
	t.Parallel()
	data := filepath.Join(openDir(t), "data")
	start(t, data, nil).kill()
	socket := filepath.Join(data, "control.sock")
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	fails(t, 1, nil, []string{"rekey", "--data", data}, "ask the running server")
}

// A socket's path has at most 107 bytes; a data directory's may be longer.
func TestRekeyInADeepDirectory(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), strings.Repeat("d", 120)), nil)
	set(t, s.client(), "k", "v")
	wantText(t, succeeds(t, "rekey", "--data", s.data), "Sealed 1 record ")
}
