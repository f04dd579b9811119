package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/client"
)

// withKeysOf is a data directory with the keys of another and nothing else.
func withKeysOf(t *testing.T, s *server) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"encryption.key", "jwt.secret"} {
		copyFile(t, filepath.Join(s.data, key), filepath.Join(data, key))
	}
	return data
}

// exportedFile is an export of the server, which may run.
func exportedFile(t *testing.T, s *server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "leger.sql")
	succeeds(t, "export", file, "--data", s.data)
	return file
}

// What a running server exported is another server after the import: secrets with their
// versions, the same installation in a new epoch, an audit log that fits and tells of it, and
// nobody's browser signed in.
func TestExportIsAnotherServer(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 3)
	set(t, c, "large", canary+strings.Repeat("v", leger.MaxSecretValue-len(canary)))
	if err := c.DeleteSecret(t.Context(), name(t, "s2"), 0); err != nil {
		t.Fatal(err)
	}
	cookie := signInBrowser(t, s)
	want := values(t, c)
	file := filepath.Join(t.TempDir(), "leger.sql")
	out := succeeds(t, "export", file, "--data", s.data)
	wantText(t, out, "Exported 3 secrets (5 versions) and 0 releases of 1 user", "Every record of it was opened.",
		"fits its chains", "The keys are NOT in it")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	data := withKeysOf(t, s)
	out = succeeds(t, "import", file, "--data", data)
	wantText(t, out, "Imported 3 secrets (5 versions)", "Every record was opened.", "fits its chains",
		"The former files are in "+data)
	if strings.Contains(out, "Left out") || strings.Contains(out, "no shared secret") {
		t.Error(out)
	}
	other := start(t, data, nil)
	sameSecrets(t, values(t, other.client()), want)
	if status := other.getUser(cookie); status != 401 {
		t.Errorf("the browser gets %d", status)
	}
	before, after := installationOf(t, c), installationOf(t, other.client())
	if before.ID != after.ID || after.Epoch <= before.Epoch {
		t.Errorf("the installation was %+v and is %+v", before, after)
	}
	wantText(t, succeeds(t, "audit", "verify", "--data", data), "Everything fits.")
	log := succeeds(t, "audit", "export", "--data", data)
	wantText(t, log, `"server.move"`, `"exported"`, `"imported from an export"`)
	if log := succeeds(t, "audit", "export", "--data", s.data); strings.Contains(log, "server.move") {
		t.Error("the server that was read from was written to")
	}
	// A deleted secret's versions go on where they ended.
	again, err := other.client().SetSecret(t.Context(), name(t, "s2"), leger.NewPlaintext([]byte("x")), 0)
	if err != nil || again.Version != 2 {
		t.Errorf("version %d, %v", again.Version, err)
	}
}

func installationOf(t *testing.T, c *client.Client) leger.Installation {
	t.Helper()
	list := values(t, c)
	return leger.Installation{ID: list.Installation, Epoch: list.Epoch}
}

// Neither a value nor a key is in an export.
func TestExportHoldsNothingInTheClear(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	var forbidden [][]byte
	for _, key := range []string{"encryption.key", "jwt.secret"} {
		b, err := os.ReadFile(filepath.Join(s.data, key))
		if err != nil {
			t.Fatal(err)
		}
		forbidden = append(forbidden, bytes.TrimSpace(b))
	}
	search(t, exportedFile(t, s), append(forbidden, []byte(canary)))
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	dir := t.TempDir()
	file := filepath.Join(dir, "leger.sql")
	try := func(code int, args []string, wants ...string) {
		t.Helper()
		fails(t, code, nil, append(append([]string{"export"}, args...), "--data", s.data), wants...)
	}
	try(2, nil, "export needs FILE")
	try(2, []string{file, "more"}, `unexpected argument "more"`)
	try(2, []string{filepath.Join(dir, "missing", "x")}, "look for the directory")
	fails(t, 1, nil, []string{"export", file, "--data", dir}, "no encryption key")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	try(1, []string{file}, "exists already", "--force")
	if b, _ := os.ReadFile(file); string(b) != "mine" {
		t.Error("the refused export changed the file")
	}
	succeeds(t, "export", "--force", file, "--data", s.data)

	// A record that does not open, and a contradiction, are found before there is an export.
	s.kill()
	damaged := filepath.Join(dir, "damaged.sql")
	execute(t, s.data, `UPDATE secret_versions SET encrypted_value =
		(SELECT encrypted_value FROM secret_versions WHERE name = 's1') WHERE name = 's0'`)
	try(1, []string{damaged}, "s0", "cannot be opened")
	execute(t, s.data, `UPDATE users SET secret_count = 7`)
	try(1, []string{damaged}, "damaged")
	for _, where := range []string{dir, s.data} {
		left, err := filepath.Glob(filepath.Join(where, ".*"))
		if _, there := os.Stat(damaged); err != nil || len(left) > 0 || there == nil {
			t.Errorf("left in %s: %q, %v", where, left, err)
		}
	}
}

// Through a pipe, as from one machine to another; by keys in the environment.
func TestExportAndImportByPipe(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 2)
	sql, err := command(t, nil, "export", "-", "--data", s.data).Output()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	env := []string{"ENCRYPTION_KEY_FILE=" + filepath.Join(s.data, "encryption.key")}
	in := command(t, env, "import", "-", "--data", data)
	in.Stdin = bytes.NewReader(sql)
	out, err := in.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wantText(t, string(out), "There is no shared secret")
	copyFile(t, filepath.Join(s.data, "jwt.secret"), filepath.Join(data, "jwt.secret"))
	sameSecrets(t, values(t, start(t, data, env).client()), values(t, c))
}

// What cannot be imported replaces nothing, and leaves nothing behind.
func TestRefusedImportChangesNothing(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	file := exportedFile(t, s)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := serving(t, 1)
	fails(t, 1, nil, []string{"import", file, "--data", other.data}, "in use by process", "hint: ")
	other.kill()
	before := tree(t, other.data)
	fails(t, 2, nil, []string{"import", file, "--data", other.data}, "sealed with the key ", "hint: ")
	sameTree(t, "another key", tree(t, other.data), before)

	none := filepath.Join(t.TempDir(), "none")
	fails(t, 1, nil, []string{"import", file, "--data", none}, "there is no encryption key in "+none, "encryption.key",
		"ENCRYPTION_KEY_FILE")
	if _, err := os.Lstat(none); err == nil {
		t.Error("a refused import made the data directory")
	}
	fails(t, 2, nil, []string{"import", "--data", s.data}, "import needs FILE")
	fails(t, 2, nil, []string{"import", "/nonexistent", "--data", other.data}, "/nonexistent")
	archive := filepath.Join(t.TempDir(), "leger.backup")
	succeeds(t, "backup", archive, "--data", s.data)
	fails(t, 2, nil, []string{"import", archive, "--data", other.data}, "no SQL text", "leger-server restore")

	bad := filepath.Join(t.TempDir(), "bad.sql")
	s.kill()
	env := []string{"ENCRYPTION_KEY_FILE=" + filepath.Join(s.data, "encryption.key")}
	for what, content := range map[string]string{
		"empty": "", "cut": string(whole[:len(whole)/2]), "words": "hello",
		"another value": string(whole) + "UPDATE secret_versions SET encrypted_value = 'AAAA' WHERE name = 's1';\n",
		"a secret gone": string(whole) + "DELETE FROM secrets WHERE name = 's1';\n",
		"a file":        fmt.Sprintf("ATTACH '%s' AS x;\n", filepath.Join(other.data, "attached")),
	} {
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := command(t, env, "import", bad, "--data", other.data).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "leger-server: ") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		sameTree(t, what, tree(t, other.data), before)
	}
}

// An import that is killed leaves the old state or the new one, and the next start begins
// on it.
func TestKilledImportIsOldOrNew(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 20)
	killedIsOldOrNew(t, s, "import", exportedFile(t, s))
}
