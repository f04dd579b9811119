package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/sqlite"
)

// export writes the server's data as SQL for a database of Cloudflare's, while the server
// runs or not, after opening every record of the copy that it writes.
func (p program) export(ctx context.Context, args []string) (err error) {
	o, err := p.sqlOptions(args)
	if err != nil {
		return err
	}
	if err := p.settleData(o.data); err != nil {
		return err
	}
	if _, _, err := p.existingKeys(o.data); err != nil {
		return err
	}
	dir, remove, err := safefile.TempDir(o.data, ".export-")
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "make room for a copy of the database")
	}
	defer func() { err = errors.Join(err, remove()) }()
	database := filepath.Join(dir, databaseFile)
	if err := p.copyDatabase(ctx, o.data, database); err != nil {
		return err
	}
	// After the copy: a rekey that runs meanwhile writes a key before it uses it.
	_, ring, err := p.existingKeys(o.data)
	if err != nil {
		return err
	}
	event := leger.AuditEvent{Action: leger.ActionServerMove, Detail: "exported"}
	ready, err := p.renew(ctx, ring, database, 0, event)
	if err != nil {
		return err
	}
	made, err := sqlite.Open(ctx, sqlite.Config{Path: database, Now: p.now, ReadOnly: true, Readers: 1})
	if err != nil {
		return err
	}
	err = p.writeBackup(o, func(to io.Writer) error { return made.ExportSQL(ctx, to) })
	if err := errors.Join(err, made.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stderr, "Exported %s\nto %s (not encrypted: the secrets in it are sealed, names and "+
		"e-mail addresses can be read).\nEvery record of it was opened. %s\n"+
		"The keys are NOT in it: the Worker needs the key %s as ENCRYPTION_KEY.\n"+
		"What is written to this server from now on is not in it.\n",
		contents(ready.manifest), o.file, ready.audit, ring.CurrentID())
	return err
}

// sqlOptions reads FILE and the flags of export.
func (p program) sqlOptions(args []string) (o backupOptions, err error) {
	set := p.flags("export")
	data := set.String("data", "", "")
	set.BoolVar(&o.force, "force", false, "")
	if o.file, err = p.parseFile(set, args); err != nil {
		return o, err
	}
	if o.data, err = p.dataDir(*data); err != nil {
		return o, err
	}
	return o, p.checkTarget(o)
}
