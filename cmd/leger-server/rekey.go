package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
)

// rekey changes the encryption key: through the running server, or by itself when none
// runs.
func (p program) rekey(ctx context.Context, args []string) error {
	set := p.flags("rekey")
	data := set.String("data", "", "")
	forget := set.Bool("forget-old", false, "")
	shared := set.Bool("shared-secret", false, "")
	if err := p.parse(set, args); err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	switch {
	case *forget && *shared:
		return leger.Invalid("flags", "--forget-old is about former encryption keys: of the shared secret there is none to forget").
			WithHint("run one after the other")
	case *forget:
		return p.forgetOld(ctx, dir)
	case *shared:
		return p.rekeyShared(ctx, dir)
	}
	var out rekeyed
	answer, err := askServer(ctx, dir, "rekey", func(a controlAnswer) { p.progress(a.Passed, a.Total) })
	switch {
	case errors.Is(err, errNoServer):
		err = p.alone(ctx, dir, func(r *rotation) (err error) {
			out, err = r.rekey(ctx, p.progress)
			return err
		})
	case err == nil && answer.Rekeyed != nil:
		out = *answer.Rekeyed
	}
	p.endProgress()
	if err != nil {
		return interrupted(ctx, err)
	}
	return p.tellRekeyed(dir, out)
}

// interrupted says what a rekey that was stopped leaves.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return leger.Wrap(leger.CodeInterrupted, err, "interrupted: some records are still sealed with the former key, which still opens them").
		WithHint("run leger-server rekey again: it goes on where it stopped")
}

// alone opens the store in this process, without serving, for work on its keys.
func (p program) alone(ctx context.Context, data string, work func(*rotation) error) (err error) {
	if _, _, err := p.existingKeys(data); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	k, store, err := p.openData(ctx, data, false, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return work(p.newRotation(data, store, p.newVault(k.ring, store)))
}

func (p program) newVault(ring *vault.KeyRing, store *sqlite.Store) *vault.Vault {
	return vault.New(vault.Config{Keys: ring, Secrets: store, Now: p.now, Random: p.random})
}

func (p program) newRotation(data string, store *sqlite.Store, v *vault.Vault) *rotation {
	return &rotation{
		program: p, data: data, vault: v, store: store, turn: make(chan struct{}, 1), useSecret: func(token.Secret) {},
	}
}

// progress shows how far a rekey is, on a terminal.
func (p program) progress(passed, total int) {
	if isTerminal(p.stderr) {
		_, _ = fmt.Fprintf(p.stderr, "\rSealed %d of %d records", passed, total)
	}
}

func (p program) endProgress() {
	if isTerminal(p.stderr) {
		_, _ = io.WriteString(p.stderr, "\r\x1b[K")
	}
}

func (p program) tellRekeyed(data string, out rekeyed) error {
	var b strings.Builder
	switch {
	case out.Resumed && !out.Made:
		fmt.Fprintf(&b, "Finished an earlier change to the key %s.\n", out.KeyID)
	default:
		fmt.Fprintf(&b, "Made the key %s.\n", out.KeyID)
	}
	fmt.Fprintf(&b, "Sealed %s with it; every record is sealed with it now. Machines have nothing to fetch again.\n",
		count(int64(out.Resealed), "record"))
	record, err := backup.ReadRecord(data)
	if err == nil && record.KeysAt[out.KeyID].IsZero() {
		fmt.Fprintf(&b, "\nBack the new key up now: leger-server recovery-sheet, or leger-server backup with --with-keys\n")
	}
	if len(out.Former) > 0 {
		fmt.Fprintf(&b, "\nThe server no longer needs %s. Backups made before this do, unless they hold\n"+
			"their keys. When you need none of them any more: leger-server rekey --forget-old\n", keyList(out.Former))
	}
	_, err = io.WriteString(p.stdout, b.String())
	return err
}

func keyList(ids []string) string {
	if len(ids) == 1 {
		return "the key " + ids[0]
	}
	return "the keys " + strings.Join(ids, ", ")
}

// forgetOld removes the former keys, once nothing is sealed with them.
func (p program) forgetOld(ctx context.Context, data string) error {
	answer, err := askServer(ctx, data, "forget", func(controlAnswer) {})
	ids := answer.Former
	if errors.Is(err, errNoServer) {
		err = p.alone(ctx, data, func(r *rotation) (err error) {
			ids, err = r.forget(ctx)
			return err
		})
	}
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		_, err = io.WriteString(p.stdout, "There is no former key.\n")
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Removed %s from %s.\n", keyList(ids), filepath.Join(data, previousKeysFile))
	return err
}
