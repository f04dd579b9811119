package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/vault"
)

// importSQL puts the data of a Worker in the place of the data directory's, which it keeps
// aside, after opening every record in it: from a dump of its database, or from an export.
func (p program) importSQL(ctx context.Context, args []string) (err error) {
	set := p.flags("import")
	data := set.String("data", "", "")
	file, err := p.parseFile(set, args)
	if err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	keys, ring, err := p.importKeys(dir)
	if err != nil {
		return err
	}
	from := p.stdin
	if file != toStdout {
		f, err := os.Open(file) //nolint:gosec // G304: the operator names the file
		if err != nil {
			return leger.WrapFile(leger.CodeInvalid, err, "open %s", file)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	var found imported
	aside, err := p.replaceData(dir, func(s *backup.Staging) (replace []string, err error) {
		found, err = p.stageSQL(ctx, s.Path(databaseFile), ring, from)
		return []string{databaseFile}, err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.stdout, found.describe(dir, aside, keys))
	return err
}

// imported is what was imported.
type imported struct {
	sqlite.Imported
	prepared
}

// importKeys gives the keys of the data directory or the environment: SQL brings none.
func (p program) importKeys(dir string) (backup.Keys, *vault.KeyRing, error) {
	keys, ring, err := p.existingKeys(dir)
	if errors.Is(err, leger.ErrNotFound) {
		err = leger.Errorf(leger.CodeNotFound, "there is no encryption key in %s, and SQL brings none", dir).
			WithHint("put the ENCRYPTION_KEY that seals the secrets into %s there, and JWT_SECRET into %s, mode 0600, "+
				"or set ENCRYPTION_KEY_FILE and JWT_SECRET_FILE", encryptionKeyFile, sharedSecretFile)
	}
	return keys, ring, err
}

// stageSQL makes the database at path of SQL.
func (p program) stageSQL(
	ctx context.Context, path string, ring *vault.KeyRing, from io.Reader,
) (out imported, err error) {
	if out.Imported, err = sqlite.Import(ctx, from, path, p.now); err != nil {
		return out, err
	}
	detail := "imported from Cloudflare"
	if out.Export {
		detail = "imported from an export"
	}
	event := leger.AuditEvent{Action: leger.ActionServerMove, Detail: detail}
	out.prepared, err = p.renew(ctx, ring, path, out.Epoch, event)
	if err != nil {
		return out, err
	}
	return out, clean(path)
}

// maxLeftOut bounds the names that are shown.
const maxLeftOut = 20

// describe says what was imported.
func (f imported) describe(data, aside string, keys backup.Keys) string {
	var b strings.Builder
	m := f.manifest
	fmt.Fprintf(&b, "Imported %s\ninto %s: server %s, schema %d.\n",
		contents(m), data, m.InstallationID, f.Schema)
	fmt.Fprintf(&b, "Every record was opened. %s\n", f.audit)
	if n := len(f.LeftOut); n > 0 {
		names := f.LeftOut[:min(n, maxLeftOut)]
		fmt.Fprintf(&b, "Left out, because Leger does not know them: %s",
			leger.PrintableText(strings.Join(names, ", ")))
		if n > maxLeftOut {
			fmt.Fprintf(&b, " and %d more", n-maxLeftOut)
		}
		b.WriteString(".\n")
	}
	fmt.Fprintf(&b, "\nThe former files are in %s.\n", filepath.Join(data, aside))
	fmt.Fprintf(&b, "All browsers are signed out, machines keep their keys.\n"+
		"They learn by the new epoch, %d, to compare values anew.\n", f.epoch)
	if keys.Shared.Len() == 0 {
		b.WriteString("There is no shared secret: the first start makes another one.\n")
	}
	return b.String()
}
