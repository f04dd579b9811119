package vault_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
)

// record is one row of secret_records, by column.
type record map[string]any

// records reads rows straight from the file, as a program that knows nothing of
// Leger's code would.
func (s *safe) records(t *testing.T, where string, args ...any) []record {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(s.path)+"?mode=ro")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM secret_records WHERE "+where+" ORDER BY name", args...)
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	columns, err := rows.Columns()
	must(t, err)
	var all []record
	for rows.Next() {
		values := make([]any, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		must(t, rows.Scan(pointers...))
		r := record{}
		for i, column := range columns {
			r[column] = values[i]
		}
		all = append(all, r)
	}
	must(t, rows.Err())
	return all
}

// openInNode opens records with Node's WebCrypto; nil is one that does not open.
func openInNode(t *testing.T, key string, records ...record) []*string {
	t.Helper()
	in, err := json.Marshal(map[string]any{"key": key, "records": records})
	must(t, err)
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "open.mjs"))
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node testdata/open.mjs: %v (the tests need Node)", err)
	}
	var values []*string
	must(t, json.Unmarshal(out, &values))
	return values
}

// TestRecord: what lies in the file has the fields of the specification's
// SecretRecord and opens with standard tools and the documented additional data;
// as the record of another name, user or version it does not.
func TestRecord(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	const value = "sk-proj-abc123 ключ\n"
	s.put(t, "openai_api_key", "an older value")
	s.put(t, "openai_api_key", value)
	s.put(t, "another", "another value")
	bob := s.account(t, "bob@example.com")
	_, err := s.Put(t.Context(), bob, vault.Item{Name: secretName(t, "openai_api_key"), Value: text("bob's value")}, vault.Precondition{}, s.event())
	must(t, err)

	own := s.records(t, "user_uuid = ?", s.user.String())
	if len(own) != 2 {
		t.Fatalf("%d records", len(own))
	}
	r := own[1]
	checkFields(t, r, s.user)
	bobs := s.records(t, "user_uuid = ?", bob.String())[0]

	with := func(column string, v any) record {
		c := maps.Clone(r)
		c[column] = v
		return c
	}
	swapped := maps.Clone(r)
	swapped["encrypted_value"], swapped["nonce"] = bobs["encrypted_value"], bobs["nonce"]
	damaged, err := base64.StdEncoding.DecodeString(r["encrypted_value"].(string))
	must(t, err)
	damaged[0] ^= 1
	shut := map[string]record{
		"another name":          with("name", "another"),
		"another user":          with("user_uuid", bob.String()),
		"an older version":      with("version", int64(1)),
		"a newer version":       with("version", int64(3)),
		"another key id":        with("key_id", "0000000000000000"),
		"somebody else's value": swapped,
		"a flipped bit":         with("encrypted_value", base64.StdEncoding.EncodeToString(damaged)),
		"another nonce":         with("nonce", own[0]["nonce"]),
	}
	names := slices.Sorted(maps.Keys(shut))
	ask := []record{r, own[0], bobs}
	for _, name := range names {
		ask = append(ask, shut[name])
	}
	got := openInNode(t, s.key, ask...)
	for i, want := range []string{value, "another value", "bob's value"} {
		if got[i] == nil || *got[i] != want {
			t.Errorf("record %d does not open to %q", i, want)
		}
	}
	for i, name := range names {
		if got[3+i] != nil {
			t.Errorf("opens as the record of %s", name)
		}
	}
	if got := openInNode(t, newKey(t), r); got[0] != nil {
		t.Error("opens with another key")
	}
}

// checkFields: names and forms are the specification's, and key_id is ours.
func checkFields(t *testing.T, r record, user leger.UserID) {
	t.Helper()
	want := []string{
		"created_at", "encrypted_value", "encryption_version", "key_id", "last_accessed", "name", "nonce", "secret_id", "updated_at", "user_uuid", "version",
	}
	if got := slices.Sorted(maps.Keys(r)); !slices.Equal(got, want) {
		t.Fatalf("fields %v, want %v", got, want)
	}
	id, _ := r["secret_id"].(string)
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("secret_id %v is no UUIDv4", r["secret_id"])
	}
	if r["user_uuid"] != user.String() || r["name"] != "openai_api_key" || r["version"] != int64(2) || r["encryption_version"] != int64(1) || r["last_accessed"] != nil {
		t.Errorf("record %v", r)
	}
	nonce, err := base64.StdEncoding.DecodeString(r["nonce"].(string))
	if err != nil || len(nonce) != 12 {
		t.Errorf("nonce of %d bytes, %v", len(nonce), err)
	}
	for _, column := range []string{"created_at", "updated_at"} {
		at, err := time.Parse(time.RFC3339Nano, r[column].(string))
		if err != nil || at.Location() != time.UTC || time.Since(at) > time.Hour {
			t.Errorf("%s is %v", column, r[column])
		}
	}
}

// A thief or an operator who moves ciphertexts about in the file gets them no
// further than a user who asks for them: the vault refuses what Node refuses.
func TestMovedRecordsStayShut(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]string{
		"another name's": `UPDATE secret_versions SET (encrypted_value, nonce) = (SELECT encrypted_value, nonce FROM secret_versions WHERE name = 'b') WHERE name = 'a' AND version = 2`,
		"an older one":   `UPDATE secret_versions SET (encrypted_value, nonce) = (SELECT encrypted_value, nonce FROM secret_versions WHERE name = 'a' AND version = 1) WHERE name = 'a' AND version = 2`,
		"no nonce":       `UPDATE secret_versions SET nonce = '' WHERE name = 'a'`,
		"a cut one":      `UPDATE secret_versions SET encrypted_value = 'AAAA' WHERE name = 'a'`,
		"another scheme": `UPDATE secret_versions SET encryption_version = 2 WHERE name = 'a'`,
		"another key":    `UPDATE secret_versions SET key_id = '0000000000000000' WHERE name = 'a'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSafe(t)
			s.put(t, "a", "one")
			s.put(t, "a", "two")
			s.put(t, "b", "other")
			db, err := sql.Open("sqlite", s.path)
			must(t, err)
			_, err = db.ExecContext(t.Context(), move)
			must(t, err)
			must(t, db.Close())
			o, err := s.Open(t.Context(), s.user, secretName(t, "a"), nil, s.event())
			if leger.CodeOf(err) != leger.CodeInternal || o.Value.Len() != 0 {
				t.Errorf("opened to %d bytes, %v", o.Value.Len(), err)
			}
		})
	}
}

// A ledger whose version number alone was set back contradicts its value id. The
// rollback of both, together with the ciphertext of then, is what nothing here can
// see: the machine compares versions and values with what it had. Documented here so
// that nobody takes the refusals above for more.
func TestRollbackOfLedgerAndValueTogetherOpens(t *testing.T) {
	t.Parallel()
	s := newSafe(t)
	s.put(t, "a", "one")
	s.put(t, "a", "two")
	db, err := sql.Open("sqlite", s.path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), `UPDATE secrets SET version = 1 WHERE name = 'a'`)
	must(t, err)
	if _, err := s.Open(t.Context(), s.user, secretName(t, "a"), nil, s.event()); leger.CodeOf(err) != leger.CodeInternal {
		t.Errorf("the version alone was set back: %v", err)
	}
	_, err = db.ExecContext(t.Context(), `
UPDATE secrets SET value_id = (SELECT nonce FROM secret_versions WHERE name = 'a' AND version = 1) WHERE name = 'a'`)
	must(t, err)
	must(t, db.Close())
	o, err := s.Open(t.Context(), s.user, secretName(t, "a"), nil, s.event())
	must(t, err)
	if o.Version != 1 || string(o.Value.Reveal()) != "one" {
		t.Errorf("version %d", o.Version)
	}
}
