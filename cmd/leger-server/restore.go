package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/vault"
)

// verifyBackup reads a backup to its end and opens every record in it.
func (p program) verifyBackup(ctx context.Context, args []string) (err error) {
	set := p.flags("verify")
	data := set.String("data", "", "")
	var u unlockFlags
	u.add(set)
	file, err := p.parseFile(set, args)
	if err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	parent := dir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		parent = os.TempDir() // on another machine than the server's
	}
	work, remove, err := safefile.TempDir(parent, ".leger-verify-")
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "make room for the database in the backup")
	}
	defer func() { err = errors.Join(err, remove()) }()
	found, err := p.unpack(ctx, file, u, filepath.Join(work, databaseFile))
	if err != nil {
		return err
	}
	ready, err := p.prepare(ctx, dir, &found, filepath.Join(work, databaseFile))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%sEvery record was opened. %s\n", describe(found), ready.audit)
	return err
}

// describe says what a backup is.
func describe(found unpacked) string {
	m := found.Manifest
	keys := "not in the backup"
	if found.Keys != nil {
		keys = "in the backup"
	}
	encrypted := "no"
	if found.encrypted {
		encrypted = "yes"
	}
	var b strings.Builder
	shown := leger.PrintableText // the file may be anybody's
	if found.bare {
		fmt.Fprintf(&b, "made       by another program: a database alone, with no digest to hold it against\n")
	} else {
		fmt.Fprintf(&b, "made       %s by leger-server %s\n", m.CreatedAt.Format(time.RFC3339), shown(m.LegerVersion))
	}
	fmt.Fprintf(&b, "holds      %s\n", contents(m))
	fmt.Fprintf(&b, "server     %s, epoch %d, schema %d\n", shown(m.InstallationID), m.Epoch, m.Schema)
	fmt.Fprintf(&b, "encrypted  %s\n", encrypted)
	fmt.Fprintf(&b, "keys       %s; its secrets are sealed with %s\n", keys, shown(strings.Join(m.KeyIDs, ", ")))
	return b.String()
}

// unpacked is a backup that was read to its end.
type unpacked struct {
	backup.Unpacked
	encrypted bool
	bare      bool // it is a database alone, which another program copied: its Manifest is empty
}

// sqliteMagic begins every SQLite database (https://www.sqlite.org/fileformat.html, 1.3).
const sqliteMagic = "SQLite format 3\x00"

// unpack reads the backup and writes its database to path.
func (p program) unpack(ctx context.Context, file string, u unlockFlags, path string) (found unpacked, err error) {
	unlock, err := p.unlock(ctx, u)
	if err != nil {
		return found, err
	}
	from := p.stdin
	if file != toStdout {
		f, err := os.Open(file) //nolint:gosec // G304: the operator names the file
		if err != nil {
			return found, leger.WrapFile(leger.CodeInvalid, err, "open the backup %s", file)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	buffered := bufio.NewReader(from)
	if begin, err := buffered.Peek(len(sqliteMagic)); err == nil && string(begin) == sqliteMagic {
		found.bare = true
		return found, p.unpackDatabase(ctx, buffered, file, path)
	}
	from = buffered
	archive, encrypted, err := backup.Decrypt(from, unlock)
	if err != nil {
		return found, err
	}
	found.encrypted = encrypted
	found.Unpacked, err = backup.Unpack(archive, path)
	if err == nil && found.Keys != nil && !encrypted {
		err = leger.Errorf(leger.CodeInternal, "the backup holds keys and is not encrypted, which leger-server never writes").
			WithHint("do not trust it")
	}
	return found, err
}

// unpackDatabase takes a database that another program has copied, as Litestream does.
func (p program) unpackDatabase(ctx context.Context, from io.Reader, file, path string) error {
	if log, err := os.Stat(file + "-wal"); err == nil && log.Size() > 0 {
		return leger.Errorf(leger.CodeInvalid, "%s is a database that was not closed: its newest writes are in %s-wal", file, file).
			WithHint("of a running server make a copy with leger-server backup")
	}
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // G304: a name of our own
	if err == nil {
		_, err = io.Copy(to, from)
		err = errors.Join(err, to.Sync(), to.Close())
	}
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "copy the database %s", file)
	}
	return sqlite.MarkCopy(ctx, path)
}

// prepared is a database that a server may start on.
type prepared struct {
	manifest backup.Manifest // of what is in it, its epoch the former one
	epoch    int64           // the new one
	audit    string          // whether the audit log fits, in a sentence
}

// prepare makes an unpacked database one that a server may start on. The manifest of a
// database alone is what was found in it.
func (p program) prepare(ctx context.Context, data string, found *unpacked, path string) (out prepared, err error) {
	ring, err := p.ringFor(data, found.Keys)
	if err != nil {
		return out, err
	}
	event := leger.AuditEvent{
		Action: leger.ActionServerRestore, Detail: "backup of " + found.Manifest.CreatedAt.UTC().Format(time.RFC3339),
	}
	if found.bare {
		event.Detail = "a database without a manifest"
	}
	out, err = p.renew(ctx, ring, path, found.Manifest.Epoch, event)
	if err == nil && found.bare {
		found.Manifest = out.manifest
		found.Manifest.Epoch = out.epoch
	}
	return out, err
}

// renew makes a copy of a database one that a server may start on: migrated, verified to its
// last record, of an epoch above the former one, with no browser signed in. Every account's
// audit log tells of it.
func (p program) renew(ctx context.Context, ring *vault.KeyRing, path string, former int64, e leger.AuditEvent) (out prepared, err error) {
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path, Now: p.now, Readers: 1})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if out.manifest, err = p.inspect(ctx, store, ring); err != nil {
		return out, err
	}
	if out.audit, err = auditVerdict(ctx, store, ring); err != nil {
		return out, err
	}
	// Secrets come back also where the audit log's key was destroyed: its verdict says so.
	if err := store.OpenAuditKey(ctx, ring, p.random); err != nil && !errors.Is(err, leger.ErrInternal) {
		return out, err
	}
	e.Credential = leger.CredentialOperator
	if err := store.EndSessions(ctx, e); err != nil {
		return out, err
	}
	out.epoch, out.manifest.Epoch = out.manifest.Epoch, former
	if out.epoch <= former { // Open raises that of a copy
		err = leger.Errorf(leger.CodeInternal, "the epoch of the new database is %d, not above %d", out.epoch, former)
	}
	return out, err
}

// ringFor gives the keys with which the server will start: those in the backup, or those
// that are there; and first of all what the environment says.
func (p program) ringFor(data string, keys *backup.Keys) (*vault.KeyRing, error) {
	if keys == nil {
		_, ring, err := p.existingKeys(data)
		if errors.Is(err, leger.ErrNotFound) {
			err = leger.Errorf(leger.CodeNotFound, "the keys are neither in the backup nor in %s", data).
				WithHint("bring them back with leger-server restore-keys, or put encryption.key and jwt.secret there, mode 0600")
		}
		return ring, err
	}
	current, previous := keys.Encryption, keys.Previous
	given, err := p.lookupSecret("ENCRYPTION_KEY")
	if err != nil {
		return nil, err
	}
	if given != "" {
		current = leger.NewPlaintext([]byte(given))
	}
	if given, err = p.lookupSecret("ENCRYPTION_KEY_PREVIOUS"); err != nil {
		return nil, err
	}
	if given != "" {
		previous = leger.NewPlaintext([]byte(given))
	}
	return vault.ParseKeyRing(string(current.Reveal()), string(previous.Reveal()))
}

// restore puts a backup in the place of the data directory's files, which it keeps
// aside, after opening every record in it.
func (p program) restore(ctx context.Context, args []string) (err error) {
	set := p.flags("restore")
	data := set.String("data", "", "")
	var u unlockFlags
	u.add(set)
	file, err := p.parseFile(set, args)
	if err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	var found unpacked
	var ready prepared
	aside, err := p.replaceData(dir, func(s *backup.Staging) (replace []string, err error) {
		found, ready, replace, err = p.stage(ctx, dir, s, file, u)
		return replace, err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%sEvery record was opened. %s\n%s", describe(found), ready.audit, restored(dir, aside, ready.epoch, found))
	return err
}

// replaceData puts what fill stages in the place of the data directory's files, whole or not
// at all, and gives the directory inside it to which those moved. fill names the files.
func (p program) replaceData(dir string, fill func(*backup.Staging) ([]string, error)) (aside string, err error) {
	d, err := p.lockData(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.release()) }()
	staging, err := backup.Stage(dir)
	if err != nil {
		return "", err
	}
	replace, err := fill(staging)
	if err == nil {
		aside, err = staging.Commit(p.now(), replace, removed(replace))
	}
	if err != nil {
		return "", errors.Join(err, staging.Abandon())
	}
	_, err = backup.Complete(dir)
	return aside, err
}

// stage fills the staging directory and names the files that are in it.
func (p program) stage(ctx context.Context, data string, s *backup.Staging, file string, u unlockFlags) (
	found unpacked, ready prepared, replace []string, err error,
) {
	database := s.Path(databaseFile)
	if found, err = p.unpack(ctx, file, u, database); err != nil {
		return found, ready, nil, err
	}
	if ready, err = p.prepare(ctx, data, &found, database); err != nil {
		return found, ready, nil, err
	}
	if err := clean(database); err != nil {
		return found, ready, nil, err
	}
	replace = []string{databaseFile}
	if found.Keys == nil {
		return found, ready, replace, nil
	}
	for name, key := range map[string]leger.Plaintext{
		encryptionKeyFile: found.Keys.Encryption, previousKeysFile: found.Keys.Previous, sharedSecretFile: found.Keys.Shared,
	} {
		if key.Len() == 0 {
			continue
		}
		text := append(append([]byte{}, key.Reveal()...), '\n')
		if err := safefile.Create(s.Path(name), text, 0o600); err != nil {
			return found, ready, nil, leger.WrapFile(leger.CodeUnavailable, err, "write %s", name)
		}
		replace = append(replace, name)
	}
	return found, ready, replace, nil
}

// clean removes what opening the database left beside it.
func clean(database string) error {
	entries, err := os.ReadDir(filepath.Dir(database))
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "look for files beside %s", database)
	}
	for _, e := range entries {
		switch {
		case e.Name() == databaseFile:
		case e.Name() == databaseFile+"-wal":
			// Closing the database folds its log into the file and removes the log.
			return leger.Errorf(leger.CodeInternal, "the restored database was not closed: %s is still there", e.Name())
		default:
			if err := os.Remove(filepath.Join(filepath.Dir(database), e.Name())); err != nil {
				return leger.WrapFile(leger.CodeUnavailable, err, "remove %s", e.Name())
			}
		}
	}
	return nil
}

// removed names the files that go without a replacement: SQLite's log of the former
// database, the mark of a rekey of it, and, when the backup brings its own keys, former keys
// and a shared secret that was about to be used.
func removed(replace []string) []string {
	list := []string{databaseFile + "-wal", databaseFile + "-shm", rekeyFile}
	if len(replace) > 1 {
		list = append(list, previousKeysFile, nextSecretFile)
	}
	return list
}

func restored(data, aside string, epoch int64, found unpacked) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nRestored into %s. The former files are in %s.\n", data, filepath.Join(data, aside))
	fmt.Fprintf(&b, "All browsers are signed out. Machines learn by the new epoch, %d, to compare values anew.\n", epoch)
	fmt.Fprintf(&b, "Sign-ins revoked since the backup are valid again: revoke them once more.\n")
	if found.Keys == nil {
		fmt.Fprintf(&b, "The keys in use are those that were there.\n")
	}
	return b.String()
}
