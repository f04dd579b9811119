package sqlite_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/storetest"
)

// What the tests below attack: alice's, bob's and nobody's events take turns, so that
// number n of alice is event 3n-2 of the log, of bob 3n-1, of nobody 3n. There are
// attackedEvents of each, all linked, and then one of each that is not linked yet.
const attackedEvents = 5

func bob() leger.UserID { return leger.LocalIdentity("bob@localhost").UserID() }

// attacked makes a database for the attacks, and gives its path.
func attacked(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "leger.db")
	s := mustOpen(t, sqlite.Config{Path: path})
	if err := s.OpenAuditKey(t.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LinkAudit(t.Context()); err != nil { // begins the chains
		t.Fatal(err)
	}
	for i := range attackedEvents + 1 {
		for _, user := range []leger.UserID{owner().UserID(), bob(), {}} {
			appendEvent(t, s, user, start().Add(time.Duration(i)*time.Hour), fmt.Sprint(i+1))
		}
		if i == attackedEvents-1 {
			if _, err := s.LinkAudit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func appendEvent(t *testing.T, s *sqlite.Store, user leger.UserID, at time.Time, subject string) {
	t.Helper()
	e := leger.AuditEvent{
		At: at, User: user, Action: leger.ActionSecretRead, Subject: subject, Version: 2, Count: 3,
		Credential: leger.CredentialMachine, DeviceID: "device", RemoteAddr: "100.64.0.1", RequestID: "request", Detail: "detail",
	}
	if err := s.AppendAudit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func copied(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	to := filepath.Join(t.TempDir(), "leger.db")
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// attack is what somebody does who can write to the database and has no key.
type attack struct {
	name string
	sql  string
	want chain.Fault // the first; its Text, At and ID count only if they are there
}

const columns = `at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail`

func attacks() []attack {
	alice, bob := owner().UserID().String(), bob().String()
	third := chain.Fault{Kind: chain.Changed, User: alice, Number: 3, ID: 7}
	missing := func(number int64) chain.Fault { return chain.Fault{Kind: chain.Missing, User: alice, Number: number} }
	list := []attack{
		{"a number that is taken", `UPDATE audit_log SET number = 2 WHERE id = 7`, chain.Fault{Kind: chain.Inserted, User: alice, Number: 2, ID: 7}},
		{"a number that is to come", `UPDATE audit_log SET number = 4 WHERE id = 7`, missing(3)},
		{"a number beyond the end", `UPDATE audit_log SET number = 9 WHERE id = 7`, chain.Fault{Kind: chain.Inserted, User: alice, Number: 9, ID: 7}},
		{"no number", `UPDATE audit_log SET number = NULL WHERE id = 7`, chain.Fault{Kind: chain.Inserted, User: alice, ID: 7}},
		{"a number that is none", `UPDATE audit_log SET number = 'x' WHERE id = 7`, chain.Fault{Kind: chain.Inserted, User: alice, ID: 7}},
		{"another's event", `UPDATE audit_log SET user_uuid = '` + bob + `' WHERE id = 7`, chain.Fault{Kind: chain.Changed, User: bob, Number: 3, ID: 7}},
		{"nobody's event", `UPDATE audit_log SET user_uuid = '' WHERE id = 7`, chain.Fault{Kind: chain.Changed, Number: 3, ID: 7}},

		{"the first deleted", `DELETE FROM audit_log WHERE id = 1`, missing(1)},
		{"one deleted", `DELETE FROM audit_log WHERE id = 7`, missing(3)},
		{"two deleted", `DELETE FROM audit_log WHERE id IN (7, 10)`, missing(3)},
		{"the last one linked deleted", `DELETE FROM audit_log WHERE id = 13`, missing(5)},
		{"the oldest deleted, as if pruned", `DELETE FROM audit_log WHERE id <= 6`, missing(1)},
		{"all of an account deleted", `DELETE FROM audit_log WHERE user_uuid = '` + alice + `'`, missing(1)},
		{
			"all of an account deleted, and its head",
			`DELETE FROM audit_log WHERE user_uuid = '` + alice + `'; DELETE FROM audit_heads WHERE user_uuid = '` + alice + `'`,
			chain.Fault{Kind: chain.Missing},
		},
		{"the end cut off", `DELETE FROM audit_log WHERE id > 9`, chain.Fault{Kind: chain.Missing, User: "", Number: 4}},
		{
			"the end cut off, and the heads drawn back without the key", `DELETE FROM audit_log WHERE id > 9;
			UPDATE audit_heads SET last_number = 3, last_seal = (SELECT seal FROM audit_log AS l WHERE l.user_uuid = audit_heads.user_uuid AND l.number = 3)`,
			chain.Fault{Kind: chain.Changed, Number: 3},
		},
		{"all deleted", `DELETE FROM audit_log`, chain.Fault{Kind: chain.Missing, Number: 1}},

		{"two swapped", `UPDATE audit_log SET id = CASE id WHEN 4 THEN -1 ELSE -2 END WHERE id IN (4, 7);
			UPDATE audit_log SET id = CASE id WHEN -1 THEN 7 ELSE 4 END WHERE id < 0`, missing(2)},
		{
			"what two say swapped", `UPDATE audit_log SET subject = CASE id WHEN 4 THEN '3' ELSE '2' END WHERE id IN (4, 7)`,
			chain.Fault{Kind: chain.Changed, User: alice, Number: 2, ID: 4},
		},
		{
			"two swapped with their numbers", `UPDATE audit_log SET id = CASE id WHEN 4 THEN -1 ELSE -2 END WHERE id IN (4, 7);
			UPDATE audit_log SET id = CASE id WHEN -1 THEN 7 ELSE 4 END, number = CASE id WHEN -1 THEN 3 ELSE 2 END WHERE id < 0`,
			chain.Fault{Kind: chain.Changed, User: alice, Number: 2, ID: 4},
		},
		{"moved behind the others", `UPDATE audit_log SET id = 19 WHERE id = 7`, missing(3)},

		{"one inserted in between, and the others moved on", `UPDATE audit_log SET id = -id - 1 WHERE id >= 7; UPDATE audit_log SET id = -id WHERE id < 0;
			INSERT INTO audit_log (id, ` + columns + `, number, seal) SELECT 7, ` + columns + `, 3, seal FROM audit_log WHERE id = 8;
			UPDATE audit_log SET subject = 'x' WHERE id = 7; UPDATE audit_log SET number = number + 1 WHERE id > 7 AND user_uuid = '` + alice + `'`, third},
		{
			"one inserted that nobody linked", `INSERT INTO audit_log (id, ` + columns + `) SELECT -5, ` + columns + ` FROM audit_log WHERE id = 7`,
			chain.Fault{Kind: chain.Inserted, User: alice, ID: -5},
		},
		{
			"one added without a stamp", `INSERT INTO audit_log (` + columns + `) SELECT ` + columns + ` FROM audit_log WHERE id = 7`,
			chain.Fault{Kind: chain.Inserted, User: alice, ID: 19},
		},
		{
			"one added with the seal of another", `INSERT INTO audit_log (` + columns + `, seal) SELECT ` + columns + `, seal FROM audit_log WHERE id = 7`,
			chain.Fault{Kind: chain.Inserted, User: alice, ID: 19},
		},
		{
			"one added with a number", `INSERT INTO audit_log (` + columns + `, number, seal) SELECT ` + columns + `, 6, seal FROM audit_log WHERE id = 7`,
			chain.Fault{Kind: chain.Inserted, User: alice, Number: 6, ID: 19},
		},
		{"another's copied", `INSERT INTO audit_log (at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail, number, seal)
			SELECT at, '` + alice + `', action, subject, version, count, credential, device_id, remote_addr, request_id, detail, 6, seal
			FROM audit_log WHERE id = 14`, chain.Fault{Kind: chain.Inserted, User: alice, Number: 6, ID: 19}},
		{"another's that is not linked yet copied", `INSERT INTO audit_log (at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail, seal)
			SELECT at, '` + alice + `', action, subject, version, count, credential, device_id, remote_addr, request_id, detail, seal
			FROM audit_log WHERE id = 17`, chain.Fault{Kind: chain.Inserted, User: alice, ID: 19}},

		{"one that is not linked yet changed", `UPDATE audit_log SET subject = 'x' WHERE id = 16`, chain.Fault{Kind: chain.Inserted, User: alice, ID: 16}},
		{"one that is not linked yet deleted", `DELETE FROM audit_log WHERE id = 17`, chain.Fault{Kind: chain.Missing, ID: 18}},

		{"a head deleted", `DELETE FROM audit_heads WHERE user_uuid = '` + alice + `'`, chain.Fault{Kind: chain.Missing}},
		{"a head moved back", `UPDATE audit_heads SET last_number = 4 WHERE user_uuid = '` + alice + `'`, chain.Fault{Kind: chain.Changed, User: alice}},
		{"a head that begins later", `DELETE FROM audit_log WHERE id IN (1, 4);
			UPDATE audit_heads SET start_number = 2, start_seal = last_seal WHERE user_uuid = '` + alice + `'`, chain.Fault{Kind: chain.Changed, User: alice}},
		{"another's head", `UPDATE audit_heads SET (last_number, last_seal, mac) = (SELECT last_number, last_seal, mac FROM audit_heads WHERE user_uuid = '` + bob + `')
			WHERE user_uuid = '` + alice + `'`, chain.Fault{Kind: chain.Changed, User: alice}},
		{"as if more was pruned", `UPDATE audit_chain SET pruned_id = 3`, chain.Fault{Kind: chain.Changed}},
		{"as if all was found there", `UPDATE audit_chain SET found_id = 99`, chain.Fault{Kind: chain.Changed}},
		{"as if less was linked", `UPDATE audit_chain SET sealed_id = 3`, chain.Fault{Kind: chain.Changed}},
	}
	for column, value := range map[string]string{
		"at": "2026-03-01T10:20:30.000001Z", "action": "secret.update", "subject": "other", "version": "9", "count": "9",
		"credential": "token", "device_id": "other", "remote_addr": "::1", "request_id": "other", "detail": "", "seal": "AAAA",
	} {
		list = append(list, attack{column + " changed", fmt.Sprintf(`UPDATE audit_log SET %s = '%s' WHERE id = 7`, column, value), third})
	}
	for column, value := range map[string]string{"version": "'x'", "count": "x'00ff'", "at": "x'00'", "detail": "5"} {
		list = append(list, attack{
			column + " of another kind", fmt.Sprintf(`UPDATE audit_log SET %s = %s WHERE id = 7`, column, value), third,
		})
	}
	return list
}

// Each of these is named, and linking and pruning that go on afterwards hide none.
func TestAttacksAreNamed(t *testing.T) {
	t.Parallel()
	path := attacked(t)
	if r := verifyAudit(t, path); len(r.Faults) > 0 || r.Total.Linked != 3*attackedEvents || r.Total.Fresh != 3 {
		t.Fatalf("before any attack: %+v", r)
	}
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			path := copied(t, path)
			execSQL(t, path, a.sql)
			found := verifyAudit(t, path)
			if len(found.Faults) == 0 {
				t.Fatal("nothing was found")
			}
			f := found.Faults[0]
			if f.Kind != a.want.Kind || f.User != a.want.User || (a.want.Number != 0 && f.Number != a.want.Number) ||
				(a.want.ID != 0 && f.ID != a.want.ID) {
				t.Errorf("found %+v\nwant  %+v", f, a.want)
			}
			goOn(t, path)
			if later := verifyAudit(t, path); len(later.Faults) == 0 {
				t.Errorf("what was found is hidden by what came after: %+v", f)
			}
		})
	}
}

// goOn does what a server does next: it writes, links and prunes.
func goOn(t *testing.T, path string) {
	t.Helper()
	s := open(t, sqlite.Config{Path: path})
	if err := s.OpenAuditKey(t.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckAudit(t.Context()); leger.CodeOf(err) != leger.CodeConflict {
		t.Errorf("the daily check gives %v", err)
	}
	for range 2 {
		appendEvent(t, s, owner().UserID(), start().Add(100*time.Hour), "after the attack")
		_, _ = s.LinkAudit(t.Context())                       // refuses, where it would have to go on from what does not fit
		_, _ = s.Prune(t.Context(), start().AddDate(0, 0, 1)) // nothing is that old
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Pruning forgets by what the events themselves say of their time. Who dates them back
// would have the server itself forget them, and sign for it.
func TestEventsDatedBackAreNotPruned(t *testing.T) {
	t.Parallel()
	path := attacked(t)
	execSQL(t, path, `UPDATE audit_log SET at = '2020-01-01T00:00:00.000000Z' WHERE id BETWEEN 4 AND 12`)
	execSQL(t, path, `UPDATE installation SET pruned_at = NULL`)
	s := open(t, sqlite.Config{Path: path})
	if err := s.OpenAuditKey(t.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	var err error
	for day := range leger.AuditRetentionDays + 2 {
		if _, e := s.Prune(t.Context(), start().AddDate(0, 0, day)); e != nil {
			err = e
		}
	}
	if leger.CodeOf(err) != leger.CodeConflict {
		t.Errorf("pruning what does not fit: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := verifyAudit(t, path)
	if len(r.Faults) == 0 || r.Faults[0].Kind != chain.Changed || r.Faults[0].Number != 2 || r.Faults[0].User != owner().UserID().String() {
		t.Errorf("%+v", r)
	}
	if r.Pruned != 3 {
		t.Errorf("pruned up to %d: what fits goes, what does not stays", r.Pruned)
	}
}

// Who sets everything back to before the chains began is found out unless nothing of
// them is left, and then the report says since when they are.
func TestChainsAreNotBegunAnew(t *testing.T) {
	t.Parallel()
	path := attacked(t)
	for _, c := range []struct{ name, sql string }{
		{"the key deleted", `DELETE FROM audit_chain`},
		{"the key and the heads deleted", `DELETE FROM audit_chain; DELETE FROM audit_heads`},
		{"the beginning deleted", `UPDATE audit_chain SET begun_at = '', found_id = 0, pruned_id = 0, sealed_id = 0, heads = 0, mac = ''`},
		{
			"the beginning and the heads deleted",
			`DELETE FROM audit_heads; UPDATE audit_chain SET begun_at = '', found_id = 0, pruned_id = 0, sealed_id = 0, heads = 0, mac = ''`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := copied(t, path)
			execSQL(t, path, c.sql)
			s := open(t, sqlite.Config{Path: path})
			err := s.OpenAuditKey(t.Context(), storetest.PlainKeys("key"), rand.Reader)
			if err == nil {
				_, err = s.LinkAudit(t.Context())
			}
			if code := leger.CodeOf(err); code != leger.CodeConflict && code != leger.CodeInternal {
				t.Errorf("error = %v", err)
			}
		})
	}
	path = copied(t, path)
	execSQL(t, path, `DELETE FROM audit_chain; DELETE FROM audit_heads; UPDATE audit_log SET number = NULL, seal = ''`)
	s := open(t, sqlite.Config{Path: path, Now: func() time.Time { return start().AddDate(1, 0, 0) }})
	if err := s.OpenAuditKey(t.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LinkAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := s.AuditKey(t.Context(), storetest.PlainKeys("key"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.VerifyAudit(t.Context(), key, nil)
	if err != nil || len(r.Faults) > 0 || r.Total.Found != 3*attackedEvents+3 || r.Begun[:4] != "2027" {
		t.Errorf("%+v, %v", r, err)
	}
}

// What nothing in the database can tell: SECURITY.md says so.
func TestWhatTheChainCannotShow(t *testing.T) {
	t.Parallel()
	path := attacked(t)
	earlier := copied(t, path)
	s := mustOpen(t, sqlite.Config{Path: path})
	if err := s.OpenAuditKey(t.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	appendEvent(t, s, owner().UserID(), start().AddDate(0, 0, 1), "later")
	if _, err := s.LinkAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verifyAudit(t, earlier); len(r.Faults) > 0 {
		t.Errorf("the whole database put back: %+v", r.Faults)
	}
	newest := copied(t, earlier)
	execSQL(t, newest, `DELETE FROM audit_log WHERE id = 18`)
	if r := verifyAudit(t, newest); len(r.Faults) > 0 {
		t.Errorf("the newest event deleted before it was linked: %+v", r.Faults)
	}
}

// Events of before there were chains are linked as they are found, also where pruning
// left none of the first ones, and are bound from then on.
func TestEventsOfBeforeAreLinkedAsFound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	if err := mustOpen(t, sqlite.Config{Path: path, Migrations: schema(t)[:12]}).Close(); err != nil {
		t.Fatal(err)
	}
	for id := 40; id < 43; id++ {
		execSQL(t, path, `INSERT INTO audit_log (id, `+columns+`) VALUES (?, ?, ?, 'secret.read', '', 0, 0, 'token', '', '', '', '')`,
			id, "2026-03-01T10:20:30.000000Z", owner().UserID().String())
	}
	s := mustOpen(t, sqlite.Config{Path: path})
	if err := s.OpenAuditKey(t.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	appendEvent(t, s, bob(), start(), "before the chains begin")
	if n, err := s.LinkAudit(t.Context()); err != nil || n != 4 {
		t.Fatal(n, err)
	}
	appendEvent(t, s, owner().UserID(), start(), "after")
	if n, err := s.LinkAudit(t.Context()); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verifyAudit(t, path); len(r.Faults) > 0 || r.Total.Found != 4 || r.Total.Linked != 5 || r.Pruned != 39 {
		t.Errorf("%+v", r)
	}
	for _, attack := range []struct {
		sql    string
		number int64
	}{{`UPDATE audit_log SET subject = 'x' WHERE id = 41`, 2}, {`DELETE FROM audit_log WHERE id = 40`, 1}} {
		execSQL(t, path, attack.sql)
		if r := verifyAudit(t, path); len(r.Faults) == 0 || r.Faults[0].Number != attack.number {
			t.Errorf("%s: %+v", attack.sql, r)
		}
	}
}
