package main_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// line is what the tests look at in a line of an export.
type line struct {
	ID, Number                            int64
	At, User, Action, Subject, Credential string
	Prev, Hash                            string
}

func lines(t *testing.T, text string) (list []line) {
	t.Helper()
	for text := range strings.Lines(text) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		list = append(list, l)
	}
	return list
}

// verified is what the tests look at in leger-server audit verify --json.
type verified struct {
	Fits                       bool
	Events, Linked, Found, New int64
	Accounts                   []struct {
		Email string
		Last  int64  `json:"last_number"`
		Hash  string `json:"last_hash"`
	}
	Faults []struct {
		Kind, Email string
		Number      int64
	}
}

func auditVerify(t *testing.T, data string) (v verified) {
	t.Helper()
	out, _ := command(t, nil, "audit", "verify", "--json", "--data", data).Output()
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return v
}

// linked waits until the server has linked everything.
func linked(t *testing.T, data string) (v verified) {
	t.Helper()
	for range 200 {
		if v = auditVerify(t, data); v.New == 0 {
			return v
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("events are not linked: %+v", v)
	return v
}

// The audit log can be checked and exported while the server writes it, events that are
// not linked yet too; each line's prev is the hash of the line before.
func TestAuditWhileServing(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 3)
	values(t, c)
	wantText(t, succeeds(t, "audit", "verify", "--data", s.data), "alice@example.com", "Everything fits.")
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	wantText(t, succeeds(t, "audit", "export", file, "--data", s.data), "Wrote 7 events to "+file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), canary) {
		t.Error("the export holds a value")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	prev := ""
	for i, l := range lines(t, string(text)) {
		if l.Number != int64(i+1) || l.Prev != prev || l.Hash == "" || l.ID == 0 || l.User == "" || l.Credential == "" {
			t.Errorf("line %d: %+v, after %s", i+1, l, prev)
		}
		prev = l.Hash
	}
	fails(t, 1, nil, []string{"audit", "export", file, "--data", s.data}, "exists already", "--force")
	succeeds(t, "audit", "export", "--force", "--data", s.data, file)

	// What was foretold of events that were not linked yet is what they are linked with.
	s.kill()
	s = start(t, s.data, nil)
	v := linked(t, s.data)
	if !v.Fits || v.Linked != 7 || v.Accounts[0].Last != 7 || v.Accounts[0].Hash != prev {
		t.Errorf("%+v, and the last hash was %s", v, prev)
	}
	succeeds(t, "audit", "verify", "--against", file, "--data", s.data)
}

func TestAuditExportChooses(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 2)
	first := lines(t, succeeds(t, "audit", "export", "--data", s.data))
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.DateOnly)
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--user", "ALICE@example.com"}, len(first)},
		{[]string{"--user", first[0].User}, len(first)},
		{[]string{"--user", "nobody"}, 0},
		{[]string{"--user", "7d444840-9dc0-41d1-b245-5ffdce74fad2"}, 0},
		{[]string{"--since", first[2].At}, len(first) - 2},
		{[]string{"--until", first[2].At}, 2},
		{[]string{"--since", tomorrow}, 0},
	} {
		if got := lines(t, succeeds(t, append([]string{"audit", "export", "--data", s.data}, c.args...)...)); len(got) != c.want {
			t.Errorf("%q: %d lines, want %d", c.args, len(got), c.want)
		}
	}
	fails(t, 1, nil, []string{"audit", "export", "--data", s.data, "--user", "bob@example.com"}, "no account", "--json lists")
	fails(t, 2, nil, []string{"audit", "export", "--data", s.data, "--since", "yesterday"}, "--since must be a time")
	fails(t, 2, nil, []string{"audit", "export", "--data", s.data, "--since", tomorrow, "--until", tomorrow}, "--until must be after")
	fails(t, 2, nil, []string{"audit", "export", "a", "b", "--data", s.data}, "unexpected argument")
	fails(t, 2, nil, []string{"audit"}, "audit needs verify, export or restart")
	fails(t, 1, nil, []string{"audit", "verify", "--data", t.TempDir()}, "there is no encryption key")
}

// Whoever can write to the database is found out, and an earlier export tells what
// nothing in the database could.
func TestAuditVerifyNamesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 3)
	s.kill()
	s = start(t, s.data, nil)
	linked(t, s.data)
	earlier := filepath.Join(t.TempDir(), "earlier.db")
	s.kill()
	succeeds(t, "rekey", "--forget-old", "--data", s.data) // closes the database, and folds its log into it
	copyFile(t, filepath.Join(s.data, "leger.db"), earlier)
	s = start(t, s.data, nil)
	set(t, s.client(), "later", "x")
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	succeeds(t, "audit", "export", file, "--data", s.data)
	s.kill()

	changed := copyData(t, s.data)
	execSQL(t, changed, `UPDATE audit_log SET subject = 's1' WHERE id = 2`)
	fails(t, 1, nil, []string{"audit", "verify", "--data", changed}, "DOES NOT FIT",
		"The first that does not fit: alice@example.com, number 2, event 2 of the log, 20", "was changed. (changed)",
		"does not fit its chains", "hint: ", "keep a copy of the data directory")
	if v := auditVerify(t, changed); v.Fits || len(v.Faults) != 1 || v.Faults[0].Number != 2 || v.Faults[0].Email != "alice@example.com" {
		t.Errorf("%+v", v)
	}
	fails(t, 1, nil, []string{"audit", "export", "--data", changed, filepath.Join(t.TempDir(), "x")}, "exported as it is")

	// The whole database as it was: nothing in it can tell.
	rolled := copyData(t, s.data)
	copyFile(t, earlier, filepath.Join(rolled, "leger.db"))
	if err := os.Remove(filepath.Join(rolled, "leger.db-wal")); err != nil {
		t.Fatal(err)
	}
	succeeds(t, "audit", "verify", "--data", rolled)
	fails(t, 1, nil, []string{"audit", "verify", "--against", file, "--data", rolled}, "put back to an earlier state", "(missing)")

	// An export that was changed proves nothing.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "forged.jsonl")
	if err := os.WriteFile(forged, []byte(strings.Replace(string(text), `"secret.create"`, `"secret.delete"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 2, nil, []string{"audit", "verify", "--against", forged, "--data", s.data}, "line 2 of "+forged+" was changed")
}

// copyData copies the files of a data directory that nobody uses.
func copyData(t *testing.T, data string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"leger.db", "leger.db-wal", "encryption.key", "jwt.secret"} {
		copyFile(t, filepath.Join(data, file), filepath.Join(to, file))
	}
	return to
}

func execSQL(t *testing.T, data, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "leger.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), text)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// The key of the audit log is sealed anew by a rekey, so the former key can go.
func TestAuditSurvivesRekey(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 3)
	before := auditVerify(t, s.data)
	succeeds(t, "rekey", "--data", s.data)
	succeeds(t, "rekey", "--forget-old", "--data", s.data)
	s.kill()
	s = start(t, s.data, nil)
	set(t, s.client(), "later", "x")
	v := auditVerify(t, s.data)
	if !v.Fits || v.Events <= before.Events || v.Found != 0 {
		t.Errorf("%+v, and before: %+v", v, before)
	}
	// Without a server, and without any secret.
	empty := start(t, filepath.Join(t.TempDir(), "data"), nil)
	empty.kill()
	succeeds(t, "rekey", "--data", empty.data)
	succeeds(t, "rekey", "--forget-old", "--data", empty.data)
	succeeds(t, "audit", "verify", "--data", empty.data)
	start(t, empty.data, nil)
}

// A backup brings the chains with it, events that were not linked too, and they go on.
func TestAuditSurvivesRestore(t *testing.T) {
	t.Parallel()
	s, c := serving(t, 3)
	file := filepath.Join(t.TempDir(), "leger.backup")
	wantText(t, succeeds(t, "backup", file, "--data", s.data), "The audit log fits its chains.")
	set(t, c, "later", "x")
	wantText(t, succeeds(t, "verify", file, "--data", s.data), "The audit log fits its chains.")
	s.kill()
	wantText(t, succeeds(t, "restore", file, "--data", s.data), "The audit log fits its chains.")
	v := auditVerify(t, s.data)
	if !v.Fits || v.Accounts[0].Last != 7 { // 6, and the restore's
		t.Errorf("after the restore: %+v", v)
	}
	s = start(t, s.data, nil)
	set(t, s.client(), "again", "x")
	if v := auditVerify(t, s.data); !v.Fits || v.Found != 0 {
		t.Errorf("after going on: %+v", v)
	}

	// One that does not fit is restored all the same, and said to be so.
	s.kill()
	execSQL(t, s.data, `DELETE FROM audit_log WHERE id = 3`)
	bad := filepath.Join(t.TempDir(), "bad.backup")
	wantText(t, succeeds(t, "backup", bad, "--data", s.data), "WARNING: the audit log does not fit")
	wantText(t, succeeds(t, "restore", bad, "--data", s.data), "WARNING: the audit log does not fit")
	execSQL(t, s.data, `DELETE FROM audit_chain`)
	succeeds(t, "backup", "--force", bad, "--data", s.data)
	wantText(t, succeeds(t, "restore", bad, "--data", s.data), "WARNING: the audit log cannot be checked")
}

// After an attack that stands in the way of linking, the operator begins anew.
func TestAuditRestart(t *testing.T) {
	t.Parallel()
	s, _ := serving(t, 3)
	s.kill()
	s = start(t, s.data, nil)
	linked(t, s.data)
	fails(t, 1, nil, []string{"audit", "restart", "--yes", "--data", s.data}, "in use by process")
	s.kill()
	for _, attack := range []string{`UPDATE audit_heads SET last_number = 99`, `DELETE FROM audit_chain`} {
		execSQL(t, s.data, attack)
		fails(t, 1, nil, []string{"audit", "verify", "--data", s.data})
		fails(t, 2, nil, []string{"audit", "restart", "--data", s.data}, "--yes")
		wantText(t, succeeds(t, "audit", "restart", "--yes", "--data", s.data), "events anew, as found")
		v := auditVerify(t, s.data)
		if !v.Fits || v.Found == 0 || v.New != 1 {
			t.Errorf("after %s: %+v", attack, v)
		}
	}
	set(t, start(t, s.data, nil).client(), "later", "x")
	if out := succeeds(t, "audit", "export", "--data", s.data); !strings.Contains(out, `"audit.restart"`) {
		t.Errorf("the log does not tell of it:\n%s", out)
	}
}
