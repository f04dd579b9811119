package cloudflare

import (
	"context"
	"errors"
	"io"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
	"leger.run/leger/migrations"
)

const (
	// wrangler keeps the applied migrations in this table, by the name of the file.
	selectMigrations = `SELECT name FROM d1_migrations`

	countMigrationTables = `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'd1_migrations'`

	// One value tells a wrong key. All of them would have to be read to tell every
	// key, in every isolate that starts.
	selectOneKeyID = `SELECT key_id FROM secret_versions LIMIT 1`
)

// Keys are the keys that the Worker was given.
type Keys interface {
	Has(id string) bool
	leger.AuditKeys
}

// Check finds out whether the Worker can serve: its bindings, the schema, the key; and
// opens the key of the audit log. From here on copies in KV are believed only if keys open
// them. ErrUnavailable says what is wrong and what to do.
func (s *Store) Check(ctx context.Context, keys Keys, random io.Reader) error {
	s.keys.Store(&keys)
	if err := probe(ctx, s.bindings, false); err != nil {
		return err
	}
	if err := s.checkSchema(ctx); err != nil {
		return err
	}
	if err := s.checkKey(ctx, keys); err != nil {
		return err
	}
	err := s.OpenAuditKey(ctx, keys, random)
	if e, ok := errors.AsType[*leger.Error](err); ok && e.Code == leger.CodeInvalid {
		err = misconfigured("%s", e.Message).WithHint("%s", e.Hint)
	}
	return err
}

// probe says which binding is missing, is of another kind or, asked deeply, does
// not answer.
func probe(ctx context.Context, b Bindings, deep bool) error {
	probes := []probeKind{
		{BindingDatabase, "d1"}, {BindingUsers, "kv"}, {BindingSecrets, "kv"}, {BindingStatic, "r2"}, {BindingAssets, "fetcher"},
	}
	answer, err := b.Do(ctx, Operation{Kind: opProbe, Probe: probes, Deep: deep})
	if err != nil {
		return unavailable("the bindings cannot be looked at", err)
	}
	c := &cells{rest: answer}
	var wrong []string
	for _, p := range probes {
		if text, _ := c.text(); text != "ok" {
			wrong = append(wrong, "binding "+p.Binding+": "+text)
		}
	}
	if len(wrong) > 0 {
		return misconfigured("%s", strings.Join(wrong, "; ")).
			WithHint("compare the bindings in wrangler.jsonc with docs/cloudflare.md, and deploy again")
	}
	return unreadable(c.err)
}

func (s *Store) checkSchema(ctx context.Context) error {
	tables := int64(0)
	err := s.engine.Read(ctx, ledger.Statement{Text: countMigrationTables}, func(r *ledger.Row) { tables = r.Integer() })
	if err != nil {
		return err
	}
	applied := map[string]bool{}
	if tables > 0 {
		err := s.engine.Read(ctx, ledger.Statement{Text: selectMigrations}, func(r *ledger.Row) { applied[r.Text()] = true })
		if err != nil {
			return err
		}
	}
	all, err := migrations.All()
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "read the schema")
	}
	for _, m := range all {
		if !applied[m.Name+".sql"] {
			return misconfigured("the database lacks the migration %s", m.Name).
				WithHint("wrangler d1 migrations apply leger-db --remote")
		}
	}
	return nil
}

func (s *Store) checkKey(ctx context.Context, keys Keys) error {
	id := ""
	err := s.engine.Read(ctx, ledger.Statement{Text: selectOneKeyID}, func(r *ledger.Row) { id = r.Text() })
	if err == nil && id != "" && !keys.Has(id) {
		err = misconfigured("the database holds secrets sealed with the key %s, and ENCRYPTION_KEY is the key %s", id, keys.CurrentID()).
			WithHint("set ENCRYPTION_KEY to the key the secrets were sealed with, or name that key in ENCRYPTION_KEY_PREVIOUS")
	}
	return err
}

func misconfigured(format string, args ...any) *leger.Error {
	return leger.Errorf(leger.CodeUnavailable, format, args...)
}
