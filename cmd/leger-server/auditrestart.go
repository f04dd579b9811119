package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
)

// auditRestart links the audit log anew, as it is: the way on after somebody changed it,
// since the server hides nothing that does not fit, by linking or by pruning.
func (p program) auditRestart(ctx context.Context, args []string) (err error) {
	set := p.flags("audit restart")
	data := set.String("data", "", "")
	yes := set.Bool("yes", false, "")
	if err := p.parse(set, args); err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	if !*yes {
		return leger.Invalid("yes", "this forgets what leger-server audit verify goes by: what was changed until now is not found any more").
			WithHint("keep a copy of the data directory and an export first, then add --yes")
	}
	_, ring, err := p.existingKeys(dir)
	if err != nil {
		return err
	}
	d, err := p.lockData(dir)
	if err != nil {
		return err
	}
	store, err := sqlite.Open(ctx, sqlite.Config{
		Path: filepath.Join(dir, databaseFile), Now: p.now, Logger: slog.New(slog.DiscardHandler), Lock: d.lock,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.ForgetAuditChains(ctx); err != nil {
		return err
	}
	if err := p.unlockStore(ctx, store, ring); err != nil {
		return err
	}
	linked, err := store.LinkAudit(ctx)
	if err != nil {
		return err
	}
	event := leger.AuditEvent{At: p.now(), Action: leger.ActionAuditRestart, Credential: leger.CredentialOperator}
	if err := store.RecordForAll(ctx, event); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Linked %s anew, as found, with a new key. Earlier exports fit no more.\n", count(int64(linked), "event"))
	return err
}
