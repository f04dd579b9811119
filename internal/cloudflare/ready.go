package cloudflare

import (
	"context"
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

// ensure finds out, until it held once, whether the Worker can serve: its secrets,
// bindings, the schema, the key. ErrUnavailable says what is wrong and what to do.
func (s *Server) ensure(ctx context.Context) error {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	if ready {
		return nil
	}
	if s.invalid != nil {
		return s.invalid
	}
	if err := probe(ctx, s.Bindings, false); err != nil {
		return err
	}
	if err := s.checkSchema(ctx); err != nil {
		return err
	}
	if err := s.checkKey(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	return nil
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
		return wrongSetting("%s", strings.Join(wrong, "; ")).
			WithHint("compare the bindings in wrangler.jsonc with docs/cloudflare.md, and deploy again")
	}
	return unreadable(c.err)
}

func (s *Server) checkSchema(ctx context.Context) error {
	tables := int64(0)
	err := s.store.engine.Read(ctx, ledger.Statement{Text: countMigrationTables}, func(r *ledger.Row) { tables = r.Integer() })
	if err != nil {
		return err
	}
	applied := map[string]bool{}
	if tables > 0 {
		err := s.store.engine.Read(ctx, ledger.Statement{Text: selectMigrations}, func(r *ledger.Row) { applied[r.Text()] = true })
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
			return wrongSetting("the database lacks the migration %s", m.Name).
				WithHint("wrangler d1 migrations apply leger-db --remote")
		}
	}
	return nil
}

func (s *Server) checkKey(ctx context.Context) error {
	id := ""
	err := s.store.engine.Read(ctx, ledger.Statement{Text: selectOneKeyID}, func(r *ledger.Row) { id = r.Text() })
	if err == nil && id != "" && !s.ring.Has(id) {
		err = wrongSetting("the database holds secrets sealed with the key %s, and ENCRYPTION_KEY is the key %s", id, s.ring.CurrentID()).
			WithHint("set ENCRYPTION_KEY to the key the secrets were sealed with, or name that key in ENCRYPTION_KEY_PREVIOUS")
	}
	return err
}
