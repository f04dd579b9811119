package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/vault"
)

// toStdout is the operand that means standard input or output.
const toStdout = "-"

// backupOptions is how leger-server backup was called.
type backupOptions struct {
	data, file      string
	withKeys, force bool
	recipients      []age.Recipient // none: not encrypted
}

// backup writes one consistent state of the server's data to a file, while the server
// runs or not, after opening every record of the copy.
func (p program) backup(ctx context.Context, args []string) (err error) {
	o, err := p.backupOptions(ctx, args)
	if err != nil {
		return err
	}
	if err := p.settleData(o.data); err != nil {
		return err
	}
	if _, _, err := p.existingKeys(o.data); err != nil {
		return err
	}
	dir, remove, err := safefile.TempDir(o.data, ".backup-")
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "make room for a copy of the database")
	}
	defer func() { err = errors.Join(err, remove()) }()
	database := filepath.Join(dir, databaseFile)
	if err := p.copyDatabase(ctx, o.data, database); err != nil {
		return err
	}
	// After the copy: a rekey that runs meanwhile writes a key before it uses it.
	keys, ring, err := p.existingKeys(o.data)
	if err != nil {
		return err
	}
	m, audit, err := p.inspectCopy(ctx, database, ring)
	if err != nil {
		return err
	}
	inside := &keys
	if !o.withKeys {
		inside = nil
	}
	if err := p.writeBackup(o, func(to io.Writer) error { return writeArchive(to, o.recipients, m, database, inside) }); err != nil {
		return err
	}
	var saved []string
	if o.withKeys {
		saved = ring.IDs()
	}
	if err := backup.NoteBackup(o.data, m.CreatedAt, saved); err != nil {
		return err
	}
	return p.tellBackup(o, m, audit, ring)
}

func (p program) backupOptions(ctx context.Context, args []string) (o backupOptions, err error) {
	set := p.flags("backup")
	data := set.String("data", "", "")
	set.BoolVar(&o.withKeys, "with-keys", false, "")
	set.BoolVar(&o.force, "force", false, "")
	var e encryptFlags
	e.add(set)
	if o.file, err = p.parseFile(set, args); err != nil {
		return o, err
	}
	if o.data, err = p.dataDir(*data); err != nil {
		return o, err
	}
	if err := p.checkTarget(o); err != nil {
		return o, err
	}
	if o.recipients, err = p.recipients(ctx, e); err != nil {
		return o, err
	}
	if o.withKeys && len(o.recipients) == 0 {
		return o, leger.Invalid("with-keys", "keys go only into an encrypted backup").
			WithHint("add --recipient AGE-KEY or --passphrase, or leave --with-keys out and back the keys up apart")
	}
	return o, nil
}

// checkTarget refuses what would lose a file, or write where nobody looks.
func (p program) checkTarget(o backupOptions) error {
	if o.file == toStdout {
		if isTerminal(p.stdout) {
			return leger.Invalid("file", "this is not for a terminal").WithHint("redirect it, or name a file")
		}
		return nil
	}
	// A missing directory is rather a disk that is not mounted than one to be made.
	if _, err := os.Stat(filepath.Dir(o.file)); err != nil {
		return leger.WrapFile(leger.CodeInvalid, err, "look for the directory of %s", o.file)
	}
	switch _, err := os.Lstat(o.file); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return leger.WrapFile(leger.CodeInvalid, err, "look for %s", o.file)
	case !o.force:
		return existingBackup(o.file)
	}
	return nil
}

func existingBackup(file string) error {
	return leger.Errorf(leger.CodeConflict, "%s exists already", file).WithHint("name another file, or replace it with --force")
}

// copyDatabase copies the database as it is at one moment to path.
func (p program) copyDatabase(ctx context.Context, data, path string) error {
	live, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(data, databaseFile), Now: p.now, ReadOnly: true, Readers: 1})
	if err != nil {
		return err
	}
	return errors.Join(live.Backup(ctx, path), live.Close())
}

// inspectCopy opens every record of the copy, and says what it holds, and whether its
// audit log fits.
func (p program) inspectCopy(ctx context.Context, path string, ring *vault.KeyRing) (m backup.Manifest, audit string, err error) {
	made, err := sqlite.Open(ctx, sqlite.Config{Path: path, Now: p.now, ReadOnly: true, Readers: 1})
	if err != nil {
		return m, "", err
	}
	if m, err = p.inspect(ctx, made, ring); err == nil {
		audit, err = auditVerdict(ctx, made, ring)
	}
	return m, audit, errors.Join(err, made.Close())
}

// inspect verifies a database from its pages to its last record, and describes it.
func (p program) inspect(ctx context.Context, store *sqlite.Store, ring *vault.KeyRing) (m backup.Manifest, err error) {
	if err := store.Verify(ctx); err != nil {
		return m, err
	}
	if _, err := vault.VerifyRecords(ctx, ring, store); err != nil {
		return m, err
	}
	in, err := store.Installation(ctx)
	if err != nil {
		return m, err
	}
	counts, err := store.Counts(ctx)
	if err != nil {
		return m, err
	}
	ids, err := store.KeyIDs(ctx)
	return backup.Manifest{
		LegerVersion: version, CreatedAt: p.now().UTC(), Schema: int(counts.Schema), InstallationID: in.ID, Epoch: in.Epoch,
		Users: counts.Users, Secrets: counts.Secrets, SecretVersions: counts.SecretVersions, Releases: counts.Releases, KeyIDs: ids,
	}, err
}

// writeArchive writes the archive, encrypted if there are recipients.
func writeArchive(to io.Writer, recipients []age.Recipient, m backup.Manifest, database string, keys *backup.Keys) error {
	if len(recipients) == 0 {
		return backup.Write(to, m, database, nil)
	}
	encrypted, err := backup.Encrypt(to, recipients)
	if err != nil {
		return err
	}
	if err := backup.Write(encrypted, m, database, keys); err != nil {
		return err
	}
	if err := encrypted.Close(); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "write the backup")
	}
	return nil
}

// writeBackup lets fill write the file, which is whole then, or not there.
func (p program) writeBackup(o backupOptions, fill func(io.Writer) error) error {
	if o.file == toStdout {
		return fill(p.stdout)
	}
	write := safefile.CreateFrom
	if o.force {
		write = safefile.WriteFrom
	}
	err := write(o.file, 0o600, fill)
	if errors.Is(err, fs.ErrExist) {
		return existingBackup(o.file)
	}
	if _, ok := errors.AsType[*leger.Error](err); err != nil && !ok {
		return leger.WrapFile(leger.CodeUnavailable, err, "write %s", o.file)
	}
	return err
}

func (p program) tellBackup(o backupOptions, m backup.Manifest, audit string, ring *vault.KeyRing) error {
	how := "not encrypted: the secrets in it are sealed, names and e-mail addresses can be read"
	if len(o.recipients) > 0 {
		how = "encrypted"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Backed up %s\nto %s (%s).\nEvery record of it was opened. %s\n", contents(m), o.file, how, audit)
	if o.withKeys {
		fmt.Fprintf(&b, "The keys are in it: whoever opens it reads every secret.\n")
	} else {
		fmt.Fprintf(&b, "The keys are NOT in it: without the key %s nobody can read the secrets. Print them with\n"+
			"leger-server recovery-sheet, or use --with-keys with an encrypted backup.\n", ring.CurrentID())
	}
	if rel, err := filepath.Rel(o.data, absolute(o.file)); o.file != toStdout && err == nil && filepath.IsLocal(rel) {
		fmt.Fprintf(&b, "Warning: it lies in the data directory itself; copy it to another machine or disk.\n")
	}
	_, err := io.WriteString(p.stderr, b.String())
	return err
}

func absolute(file string) string {
	if abs, err := filepath.Abs(file); err == nil {
		return abs
	}
	return file
}

// contents says in words what a backup holds.
func contents(m backup.Manifest) string {
	return fmt.Sprintf("%s (%s) and %s of %s", count(m.Secrets, "secret"), count(m.SecretVersions, "version"),
		count(m.Releases, "release"), count(m.Users, "user"))
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// parseFile parses flags that stand before or after one operand, FILE.
func (p program) parseFile(set *flag.FlagSet, args []string) (string, error) {
	if err := p.parseFlags(set, args); err != nil {
		return "", err
	}
	if set.NArg() == 0 {
		return "", leger.Invalid("arguments", "%s needs FILE", set.Name()).WithHint("leger-server --help")
	}
	value := set.Arg(0)
	return value, p.parse(set, set.Args()[1:])
}
