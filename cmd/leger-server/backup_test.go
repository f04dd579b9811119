package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/killtest"
)

// canary is in no file that is not meant to be read by whoever holds it.
const canary = "canary-5f1c-value"

// succeeds runs the program and gives what it says, on both streams.
func succeeds(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, nil, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("leger-server %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// wantText checks that a text says each of wants.
func wantText(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// serving is a server with n secrets, the first of which has three versions.
func serving(t *testing.T, n int) (*server, *client.Client) {
	t.Helper()
	s := start(t, filepath.Join(t.TempDir(), "data"), nil)
	c := s.client()
	for i := range n {
		set(t, c, fmt.Sprintf("s%d", i), fmt.Sprintf("%s %d", canary, i))
	}
	set(t, c, "s0", "second")
	set(t, c, "s0", canary)
	return s, c
}

func set(t *testing.T, c *client.Client, secret, value string) {
	t.Helper()
	if _, err := c.SetSecret(t.Context(), name(t, secret), leger.NewPlaintext([]byte(value)), 0); err != nil {
		t.Fatal(err)
	}
}

func values(t *testing.T, c *client.Client) client.SecretList {
	t.Helper()
	list, err := c.SecretValues(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// sameSecrets: names, versions and values.
func sameSecrets(t *testing.T, got, want client.SecretList) {
	t.Helper()
	if len(got.Secrets) != len(want.Secrets) {
		t.Fatalf("%d secrets, want %d", len(got.Secrets), len(want.Secrets))
	}
	for i, g := range got.Secrets {
		if w := want.Secrets[i]; g.Name != w.Name || g.Version != w.Version || *g.Value != *w.Value || g.ValueID != w.ValueID {
			t.Errorf("%s is at version %d, want %s at %d, or the value differs", g.Name, g.Version, w.Name, w.Version)
		}
	}
}

// agePair writes an identity's file, and gives its public key.
func agePair(t *testing.T) (file, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(file, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, id.Recipient().String()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A backup taken while serving brings everything back on another machine: the keys by
// hand, since this one is not encrypted.
func TestBackupWhileServingAndRestoreElsewhere(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 5)
	want := values(t, c)
	file := filepath.Join(t.TempDir(), "leger.backup")
	wantText(t, succeeds(t, "backup", file, "--data", s.data),
		"5 secrets (7 versions)", "1 user", "Every record of it was opened", "The keys are NOT in it", "not encrypted")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v, %v", info.Mode(), err)
	}
	set(t, c, "later", "not in the backup")

	elsewhere := filepath.Join(t.TempDir(), "data")
	fails(t, 1, nil, []string{"restore", file, "--data", elsewhere}, "the keys are neither in the backup nor in", "hint: ")
	for _, key := range []string{"encryption.key", "jwt.secret"} {
		copyFile(t, filepath.Join(s.data, key), filepath.Join(elsewhere, key))
	}
	wantText(t, succeeds(t, "verify", file, "--data", elsewhere), "5 secrets", "encrypted  no", "Every record was opened")
	wantText(t, succeeds(t, "restore", file, "--data", elsewhere), "Restored into "+elsewhere, "Every record was opened")

	got := values(t, start(t, elsewhere, nil).client())
	sameSecrets(t, got, want)
	if got.Installation != want.Installation || got.Epoch <= want.Epoch {
		t.Errorf("epoch %d of %s, want another epoch than %d of %s", got.Epoch, got.Installation, want.Epoch, want.Installation)
	}
}

// An encrypted backup with the keys is all that a new machine needs.
func TestRestoreWithTheKeysFromTheBackup(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 3)
	want := values(t, c)
	identity, recipient := agePair(t)
	passphrase := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(passphrase, []byte("four words of one's own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, flags := range map[string][2][]string{
		"recipient":  {{"--recipient", recipient}, {"--identity", identity}},
		"passphrase": {{"--passphrase-file", passphrase}, {"--passphrase-file", passphrase}},
	} {
		file := filepath.Join(t.TempDir(), "leger.backup")
		out := succeeds(t, append([]string{"backup", "--data", s.data, "--with-keys", file}, flags[0]...)...)
		wantText(t, out, "encrypted", "The keys are in it")
		elsewhere := filepath.Join(t.TempDir(), "data")
		succeeds(t, append([]string{"restore", file, "--data", elsewhere}, flags[1]...)...)
		for _, key := range []string{"encryption.key", "jwt.secret"} {
			if info, err := os.Stat(filepath.Join(elsewhere, key)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s: %v", what, key, err)
			}
		}
		sameSecrets(t, values(t, start(t, elsewhere, nil).client()), want)
	}
	record, err := backup.ReadRecord(s.data)
	if err != nil || record.BackupAt.IsZero() || len(record.KeysAt) != 1 {
		t.Errorf("the record is %+v, %v", record, err)
	}
}

// A restored server has the sessions of the past: whoever signed out since then, or
// was signed out, would be signed in again.
func TestRestoreEndsSessionsAndKeepsTheFormerFiles(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 2)
	cookie := signInBrowser(t, s)
	if status := s.getUser(cookie); status != 200 {
		t.Fatalf("the browser gets %d", status)
	}
	file := filepath.Join(t.TempDir(), "leger.backup")
	succeeds(t, "backup", file, "--data", s.data)
	set(t, c, "s1", "written after the backup")
	fails(t, 1, nil, []string{"restore", file, "--data", s.data}, "in use by process", "hint: ")
	s.kill()
	out := succeeds(t, "restore", file, "--data", s.data)
	_, aside, _ := strings.Cut(out, "The former files are in ")
	aside, _, _ = strings.Cut(aside, ".\n")

	s2 := start(t, s.data, nil)
	if status := s2.getUser(cookie); status != 401 {
		t.Errorf("after the restore the browser gets %d", status)
	}
	if got, err := s2.client().Secret(t.Context(), name(t, "s1")); err != nil || *got.Value != canary+" 1" {
		t.Errorf("s1 is not the backup's: %v", err)
	}
	s2.kill()

	// The former state is whole: it can be put back as a directory of its own.
	for _, key := range []string{"encryption.key", "jwt.secret"} {
		copyFile(t, filepath.Join(s.data, key), filepath.Join(aside, key))
	}
	if got, err := start(t, aside, nil).client().Secret(t.Context(), name(t, "s1")); err != nil || *got.Value != "written after the backup" {
		t.Errorf("the former files do not hold the last write: %v", err)
	}
}

// Neither a value nor a key is in the clear in any backup; in an encrypted one not even
// names are.
func TestBackupHoldsNothingInTheClear(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	_, recipient := agePair(t)
	dir := t.TempDir()
	plain, sealed := filepath.Join(dir, "plain"), filepath.Join(dir, "sealed")
	succeeds(t, "backup", plain, "--data", s.data)
	succeeds(t, "backup", sealed, "--data", s.data, "--with-keys", "--recipient", recipient)
	var forbidden [][]byte
	for _, key := range []string{"encryption.key", "jwt.secret"} {
		b, err := os.ReadFile(filepath.Join(s.data, key))
		if err != nil {
			t.Fatal(err)
		}
		forbidden = append(forbidden, bytes.TrimSpace(b))
	}
	forbidden = append(forbidden, []byte(canary))
	search(t, plain, forbidden)
	search(t, sealed, append(forbidden, []byte("alice@example.com"), []byte("manifest"), []byte("SQLite format")))
}

func search(t *testing.T, file string, forbidden [][]byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range forbidden {
		if bytes.Contains(b, f) {
			t.Errorf("%s holds forbidden text %d", filepath.Base(file), i)
		}
	}
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 1)
	dir := t.TempDir()
	file := filepath.Join(dir, "leger.backup")
	_, recipient := agePair(t)
	data := []string{"--data", s.data}
	try := func(code int, args []string, wants ...string) {
		t.Helper()
		fails(t, code, nil, append(append([]string{"backup"}, args...), data...), wants...)
	}
	try(2, nil, "backup needs FILE")
	try(2, []string{file, "more"}, `unexpected argument "more"`)
	try(2, []string{file, "--with-keys"}, "only into an encrypted backup", "hint: ")
	try(2, []string{file, "--recipient", "age1nonsense"}, "recipient")
	try(2, []string{file, "--recipient", recipient, "--passphrase-file", file}, "not both")
	try(2, []string{file, "--passphrase"}, "no terminal", "--passphrase-file")
	try(2, []string{filepath.Join(dir, "missing", "x")}, "look for the directory")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	try(1, []string{file}, "exists already", "--force")
	if b, _ := os.ReadFile(file); string(b) != "mine" {
		t.Error("the refused backup changed the file")
	}
	succeeds(t, append([]string{"backup", "--force", file}, data...)...)
	wantText(t, succeeds(t, append([]string{"verify", file}, data...)...), "Every record was opened")
	fails(t, 1, nil, []string{"backup", filepath.Join(dir, "x"), "--data", dir}, "no encryption key")

	// To standard output and from standard input, as through ssh.
	out := command(t, nil, "backup", "-", "--data", s.data)
	archive, err := out.Output()
	if err != nil {
		t.Fatal(err)
	}
	in := command(t, nil, "verify", "-", "--data", s.data)
	in.Stdin = bytes.NewReader(archive)
	if said, err := in.CombinedOutput(); err != nil {
		t.Errorf("verify - : %v\n%s", err, said)
	}
}

// tree gives every file of a directory with its content, without the lock and sockets.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == "leger.db.lock" {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sameTree(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path, content := range want {
		if got[path] != content {
			t.Errorf("%s: %s changed", what, path)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: left %s behind", what, path)
		}
	}
}

// What cannot be restored replaces nothing, and leaves nothing behind.
func TestRefusedRestoreChangesNothing(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	dir := t.TempDir()
	file := filepath.Join(dir, "leger.backup")
	succeeds(t, "backup", file, "--data", s.data)
	s.kill()
	other, _ := serving(t, 1)
	other.kill()
	before := tree(t, other.data)

	// Another server's keys: the key that is wanted is named.
	ids := manifestOf(t, file).KeyIDs
	fails(t, 2, nil, []string{"restore", file, "--data", other.data}, "sealed with the key "+ids[0], "hint: ")
	sameTree(t, "another key", tree(t, other.data), before)

	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad")
	for what, content := range map[string][]byte{
		"empty": nil, "cut": whole[:len(whole)/2], "no backup": []byte("hello\n"),
		"flipped": flip(whole, len(whole)/3), "flipped manifest": flip(whole, 600), "flipped end": flip(whole, len(whole)-1),
	} {
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := command(t, nil, "restore", bad, "--data", other.data).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "hint: ") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		sameTree(t, what, tree(t, other.data), before)
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 4
	return b
}

func manifestOf(t *testing.T, file string) backup.Manifest {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	found, err := backup.Unpack(f, filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	return found.Manifest
}

// A record that does not open is found before the backup counts as one.
func TestBackupFindsARecordThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 3)
	s.kill()
	execute(t, s.data, `UPDATE secret_versions SET encrypted_value = (SELECT encrypted_value FROM secret_versions WHERE name = 's2') WHERE name = 's1'`)
	file := filepath.Join(t.TempDir(), "leger.backup")
	fails(t, 1, nil, []string{"backup", file, "--data", s.data}, "s1", "cannot be opened", "hint: ")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the backup is there: %v", err)
	}
}

// killedAfter runs the program and kills it after d, unless it has ended.
func killedAfter(t *testing.T, d time.Duration, args ...string) (finished bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		t.Fatalf("leger-server %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return err == nil
}

// measure is how long the program takes, to spread kills over.
func measure(t *testing.T, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	succeeds(t, args...)
	return time.Since(began)
}

// A restore that is killed leaves the old state or the new one, and the next start
// begins on it.
func TestKilledRestoreIsOldOrNew(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 20)
	file := filepath.Join(t.TempDir(), "leger.backup")
	succeeds(t, "backup", file, "--data", s.data)
	killedIsOldOrNew(t, s, "restore", file)
}

// killedIsOldOrNew kills the command that puts the server's 20 secrets into another directory.
func killedIsOldOrNew(t *testing.T, s *server, verb, file string) {
	t.Helper()
	s.kill()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"encryption.key", "jwt.secret"} {
		copyFile(t, filepath.Join(s.data, key), filepath.Join(data, key))
	}
	whole := measure(t, verb, file, "--data", data)
	outcomes := map[string]int{}
	for i := range killtest.Times(t, 12) {
		marker := fmt.Sprintf("round %d", i)
		running := start(t, data, nil)
		set(t, running.client(), "marker", marker)
		running.kill()
		d := whole * time.Duration(i*7%20+1) / 16
		finished := killedAfter(t, d, verb, file, "--data", data)
		running = start(t, data, nil)
		list := values(t, running.client())
		switch old := len(list.Secrets) == 21; {
		case old && finished:
			t.Errorf("%s: the %s was reported and is not there", marker, verb)
		case old:
			outcomes["old"]++
			for _, sec := range list.Secrets {
				if sec.Name.String() == "marker" && *sec.Value != marker {
					t.Errorf("%s: the marker is %q", marker, *sec.Value)
				}
			}
		case len(list.Secrets) == 20:
			outcomes["new"]++
		default:
			t.Errorf("%s: %d secrets", marker, len(list.Secrets))
		}
		running.kill()
		for _, left := range []string{"restore.partial", "restore.ready"} {
			if _, err := os.Lstat(filepath.Join(data, left)); err == nil {
				t.Errorf("%s: %s is left after a start", marker, left)
			}
		}
	}
	t.Logf("outcomes: %v", outcomes)
}

// A backup that is killed leaves a whole file or none, and no copy of the database.
func TestKilledBackupIsWholeOrAbsent(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 20)
	dir := t.TempDir()
	file := filepath.Join(dir, "leger.backup")
	whole := measure(t, "backup", file, "--data", s.data)
	for i := range killtest.Times(t, 12) {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		killedAfter(t, whole*time.Duration(i%12+1)/12, "backup", file, "--data", s.data)
		if _, err := os.Stat(file); err == nil {
			succeeds(t, "verify", file, "--data", s.data)
		}
	}
	succeeds(t, "backup", file, "--force", "--data", s.data)
	for _, where := range []string{dir, s.data} {
		entries, err := os.ReadDir(where)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("%s is left in %s", e.Name(), where)
			}
		}
	}
}
