package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/keysheet"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/vault"
)

// The names of keys on a sheet are those of their variables.
const (
	encryptionName = "ENCRYPTION_KEY"
	previousName   = "ENCRYPTION_KEY_PREVIOUS"
	sharedName     = "JWT_SECRET"
)

// recoverySheet prints the keys for a safe place that no machine reaches.
func (p program) recoverySheet(args []string) error {
	set := p.flags("recovery-sheet")
	data := set.String("data", "", "")
	file := set.String("file", "", "")
	if err := p.parse(set, args); err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	if *file == "" && !isTerminal(p.stdout) {
		return leger.Invalid("file", "a recovery sheet shows the keys: it goes to a terminal, or to a file that you name").
			WithHint("leger-server recovery-sheet --file PATH")
	}
	if err := p.settleData(dir); err != nil {
		return err
	}
	keys, ring, err := p.existingKeys(dir)
	if err != nil {
		return err
	}
	list, err := sheetKeys(keys)
	if err != nil {
		return err
	}
	fill := func(to io.Writer) error {
		if _, err := fmt.Fprintf(to, sheetHead, p.now().UTC().Format(time.DateOnly)); err != nil {
			return err
		}
		return keysheet.Write(to, list, *file == "")
	}
	if *file == "" {
		err = fill(p.stdout)
	} else {
		err = p.writeBackup(backupOptions{file: *file}, fill)
	}
	if err != nil {
		return err
	}
	return backup.NoteKeys(dir, p.now(), ring.IDs())
}

const sheetHead = `Leger recovery sheet, %s

Whoever has this sheet and a copy of the database reads every secret. Keep it
apart from the server and its backups, where no camera looks.

To bring the keys back, type the lines below into a file, or scan the codes into
it, and run: leger-server restore-keys FILE
`

// sheetKeys gives the keys as they go on the sheet.
func sheetKeys(k backup.Keys) ([]keysheet.Key, error) {
	list := []keysheet.Key{}
	add := func(name string, value []byte) {
		list = append(list, keysheet.Key{Name: name, ID: vault.KeyID(value), Value: leger.NewPlaintext(value)})
	}
	texts := append([]string{string(k.Encryption.Reveal())}, splitKeys(string(k.Previous.Reveal()))...)
	for i, text := range texts {
		value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil, leger.Invalid(encryptionName, "an encryption key is not base64")
		}
		if i == 0 {
			add(encryptionName, value)
		} else {
			add(previousName, value)
		}
	}
	if k.Shared.Len() > 0 {
		add(sharedName, k.Shared.Reveal())
	}
	return list, nil
}

// restoreKeys writes the key files from a recovery sheet.
func (p program) restoreKeys(ctx context.Context, args []string) (err error) {
	set := p.flags("restore-keys")
	data := set.String("data", "", "")
	file, err := p.parseFile(set, args)
	if err != nil {
		return err
	}
	dir, err := p.dataDir(*data)
	if err != nil {
		return err
	}
	text, err := p.readSheet(file)
	if err != nil {
		return err
	}
	keys, err := keysheet.Parse(text, vault.KeyID)
	if err != nil {
		return err
	}
	d, err := p.lockData(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.release()) }()
	files, err := keyFiles(keys)
	if err != nil {
		return err
	}
	if err := p.checkWanted(ctx, dir, keys); err != nil {
		return err
	}
	for _, f := range files {
		if err := f.check(dir); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := f.write(dir, p.stdout); err != nil {
			return err
		}
	}
	return nil
}

func (p program) readSheet(file string) (string, error) {
	if file != toStdout {
		text, err := environ.ReadFile(file)
		if err != nil {
			return "", leger.WrapFile(leger.CodeInvalid, err, "read the sheet %s", file)
		}
		return text, nil
	}
	b, err := io.ReadAll(io.LimitReader(p.stdin, environ.MaxFile))
	if err != nil {
		return "", leger.Wrap(leger.CodeInvalid, err, "read the sheet")
	}
	return string(b), nil
}

// checkWanted refuses keys that do not open what the database holds, if there is one.
func (p program) checkWanted(ctx context.Context, data string, keys []keysheet.Key) error {
	path := filepath.Join(data, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path, Now: p.now, ReadOnly: true, Readers: 1})
	if err != nil {
		return err
	}
	ids, err := store.KeyIDs(ctx)
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(keys, func(k keysheet.Key) bool { return k.ID == id }) {
			return leger.Invalid("sheet", "the database in %s holds secrets sealed with the key %s, which is not on the sheet", data, id).
				WithHint("look for the sheet with %s %s", encryptionName, id)
		}
	}
	return nil
}

// keyFile is a key file that a sheet brings back.
type keyFile struct {
	name string
	text leger.Plaintext
}

// keyFiles gives the files of the keys on a sheet.
func keyFiles(keys []keysheet.Key) ([]keyFile, error) {
	var files []keyFile
	var previous []string
	for _, k := range keys {
		switch k.Name {
		case encryptionName, previousName:
			text := base64.StdEncoding.EncodeToString(k.Value.Reveal())
			if _, err := vault.ParseKeyRing(text, ""); err != nil {
				return nil, leger.Invalid("sheet", "what is on the sheet as %s %s is not an encryption key", k.Name, k.ID)
			}
			if k.Name == encryptionName {
				files = append(files, keyFile{encryptionKeyFile, leger.NewPlaintext([]byte(text))})
			} else {
				previous = append(previous, text)
			}
		case sharedName:
			files = append(files, keyFile{sharedSecretFile, k.Value})
		default:
			return nil, leger.Invalid("sheet", "the sheet holds %.40s, which is not a key of leger-server", k.Name)
		}
	}
	if len(previous) > 0 {
		files = append(files, keyFile{previousKeysFile, leger.NewPlaintext([]byte(strings.Join(previous, "\n")))})
	}
	return files, nil
}

// check refuses to replace another key.
func (f keyFile) check(data string) error {
	there, err := readKeyFile(filepath.Join(data, f.name))
	if err == nil && there != "" && there != string(f.text.Reveal()) {
		err = leger.Errorf(leger.CodeConflict, "%s holds another key", filepath.Join(data, f.name)).
			WithHint("move it away first, if it is the wrong one")
	}
	return err
}

func (f keyFile) write(data string, tell io.Writer) error {
	path := filepath.Join(data, f.name)
	err := safefile.Create(path, append(slices.Clone(f.text.Reveal()), '\n'), 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		_, err = fmt.Fprintf(tell, "%s is there already, with this key.\n", path)
	case err != nil:
		err = leger.WrapFile(leger.CodeUnavailable, err, "write %s", path)
	default:
		_, err = fmt.Fprintf(tell, "Wrote %s.\n", path)
	}
	return err
}
