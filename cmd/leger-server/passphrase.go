package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"

	"filippo.io/age"
	"golang.org/x/term"

	"leger.run/leger"
	"leger.run/leger/internal/backup"
	"leger.run/leger/internal/prompt"
	"leger.run/leger/internal/safefile"
)

// encryptFlags say to whom a backup is encrypted.
type encryptFlags struct {
	recipients, files []string
	passphrase        bool
	passphraseFile    string
}

func (e *encryptFlags) add(set *flag.FlagSet) {
	set.Func("recipient", "", appendTo(&e.recipients))
	set.Func("recipients-file", "", appendTo(&e.files))
	set.BoolVar(&e.passphrase, "passphrase", false, "")
	set.StringVar(&e.passphraseFile, "passphrase-file", "", "")
}

func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

// recipients gives those whom the flags name, none when the backup is not encrypted.
func (p program) recipients(ctx context.Context, e encryptFlags) (list []age.Recipient, err error) {
	texts := e.recipients
	for _, file := range e.files {
		if err := guarded(file, safefile.Decides); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
		if err != nil {
			return nil, leger.WrapFile(leger.CodeInvalid, err, "read the recipients in %s", file)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		parsed, err := backup.ParseRecipients(text)
		if err != nil {
			return nil, err
		}
		list = append(list, parsed...)
	}
	if !e.passphrase && e.passphraseFile == "" {
		return list, nil
	}
	if len(list) > 0 {
		return nil, leger.Invalid("passphrase", "a backup is encrypted to recipients or with a passphrase, not both").
			WithHint("leave one of them out")
	}
	passphrase, err := p.newPassphrase(ctx, e.passphraseFile)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	r, err := backup.PassphraseRecipient(passphrase)
	return []age.Recipient{r}, err
}

// newPassphrase reads the passphrase of a new backup from the file, else asks twice.
func (p program) newPassphrase(ctx context.Context, file string) (leger.Plaintext, error) {
	if file != "" {
		return readPassphrase(file)
	}
	first, err := p.hidden(ctx, "Passphrase for the backup: ")
	if err != nil {
		return leger.Plaintext{}, err
	}
	second, err := p.hidden(ctx, "The same passphrase again: ")
	if err != nil {
		return leger.Plaintext{}, err
	}
	defer clear(second)
	if !bytes.Equal(first, second) {
		return leger.Plaintext{}, leger.Invalid("passphrase", "the two passphrases differ").WithHint("try again")
	}
	return leger.NewPlaintext(first), nil
}

func readPassphrase(file string) (leger.Plaintext, error) {
	if err := guarded(file, safefile.Hides); err != nil {
		return leger.Plaintext{}, err
	}
	return backup.ReadPassphrase(file)
}

// unlockFlags say what opens an encrypted backup.
type unlockFlags struct {
	identities     []string // files
	passphraseFile string
}

func (u *unlockFlags) add(set *flag.FlagSet) {
	set.Func("identity", "", appendTo(&u.identities))
	set.StringVar(&u.passphraseFile, "passphrase-file", "", "")
}

// unlock reads the identity files; the passphrase is asked for only when it is needed.
func (p program) unlock(ctx context.Context, u unlockFlags) (backup.Unlock, error) {
	var out backup.Unlock
	for _, file := range u.identities {
		if err := guarded(file, safefile.Hides); err != nil {
			return out, err
		}
		text, err := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
		if err != nil {
			return out, leger.WrapFile(leger.CodeInvalid, err, "read the identity in %s", file)
		}
		out.Identities = append(out.Identities, leger.NewPlaintext(text))
	}
	out.Passphrase = func() (leger.Plaintext, error) {
		if u.passphraseFile != "" {
			return readPassphrase(u.passphraseFile)
		}
		b, err := p.hidden(ctx, "Passphrase of the backup: ")
		return leger.NewPlaintext(b), err
	}
	return out, nil
}

// passphraseElsewhere is how to give a passphrase without typing it.
const passphraseElsewhere = "put it into a file, mode 0600, and name that with --passphrase-file" //nolint:gosec // G101: no credential

// hidden asks at the terminal without showing what is typed.
func (p program) hidden(ctx context.Context, question string) ([]byte, error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		return nil, leger.Invalid("passphrase", "there is no terminal at which to ask for the passphrase").
			WithHint(passphraseElsewhere)
	}
	_, _ = io.WriteString(p.stderr, question)
	var out io.Writer
	if isTerminal(p.stderr) {
		out = p.stderr
	}
	b, err := prompt.Hidden(ctx, f, out, passphraseElsewhere)
	_, _ = io.WriteString(p.stderr, "\n")
	return b, err
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
