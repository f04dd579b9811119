package backup

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"leger.run/leger"
)

// maxWorkFactor bounds the memory that a file may ask for to try a passphrase: 2^20 KiB.
// age itself writes 18.
const maxWorkFactor = 20

// ageMagic begins every file in age's format.
const ageMagic = "age-encryption.org/"

// ParseRecipients reads public keys (age1…), one a line, with comments after a #.
// ErrInvalid.
func ParseRecipients(text string) ([]age.Recipient, error) {
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, leger.Wrap(leger.CodeInvalid, err, "read the recipients").
			WithHint("a recipient is a public key such as age1…, which age-keygen prints")
	}
	return list, nil
}

// PassphraseRecipient encrypts to whoever knows the passphrase. ErrInvalid when it is
// empty.
func PassphraseRecipient(passphrase leger.Plaintext) (age.Recipient, error) {
	r, err := age.NewScryptRecipient(string(passphrase.Reveal()))
	if err != nil {
		return nil, leger.Invalid("passphrase", "the passphrase is empty")
	}
	return r, nil
}

// Encrypt gives a writer that encrypts; closing it ends the file and leaves to open.
func Encrypt(to io.Writer, recipients []age.Recipient) (io.WriteCloser, error) {
	w, err := age.Encrypt(to, recipients...)
	if err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "encrypt the backup")
	}
	return w, nil
}

// Unlock is what opens an encrypted backup.
type Unlock struct {
	// Identities is the text of files with age's secret keys.
	Identities []leger.Plaintext
	// Passphrase is called at most once, if the backup needs one.
	Passphrase func() (leger.Plaintext, error)
}

// Decrypt gives the archive in from, and whether it was encrypted. ErrForbidden: what
// was given does not open it.
func Decrypt(from io.Reader, u Unlock) (archive io.Reader, encrypted bool, err error) {
	in := bufio.NewReader(from)
	start, err := in.Peek(len(ageMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, readError(err)
	}
	if string(start) != ageMagic {
		return in, false, nil
	}
	identities, err := u.identities()
	if err != nil {
		return nil, true, err
	}
	out, err := age.Decrypt(in, identities...)
	if err != nil {
		return nil, true, explainDecrypt(err)
	}
	return out, true, nil
}

// explainDecrypt gives the error of a file that age does not open.
func explainDecrypt(err error) error {
	var known *leger.Error
	noMatch, isNoMatch := errors.AsType[*age.NoIdentityMatchError](err)
	switch {
	case errors.As(err, &known):
		return err
	case isNoMatch && len(noMatch.Errors) <= 1:
		return leger.Errorf(leger.CodeForbidden, "the backup is encrypted to a key that was not given").
			WithHint("name the file with the secret key (AGE-SECRET-KEY-1…): --identity FILE")
	case isNoMatch:
		return leger.Errorf(leger.CodeForbidden, "none of the keys given opens the backup").
			WithHint("name the file with the secret key it was encrypted to: --identity FILE")
	}
	return damaged("age cannot read it: %v", err)
}

// identities gives age's, the passphrase last: it is asked for only when needed.
func (u Unlock) identities() ([]age.Identity, error) {
	var list []age.Identity
	for _, text := range u.Identities {
		ids, err := age.ParseIdentities(strings.NewReader(string(text.Reveal())))
		if err != nil {
			// age quotes no line of the file.
			return nil, leger.Invalid("identity", "the identity file holds no secret key of age, or a damaged one").
				WithHint("it is the file that age-keygen writes, with a line AGE-SECRET-KEY-1…")
		}
		list = append(list, ids...)
	}
	return append(list, &passphraseIdentity{u.Passphrase}), nil
}

// passphraseIdentity is an age.Identity that asks for its passphrase.
type passphraseIdentity struct {
	ask func() (leger.Plaintext, error)
}

// Unwrap implements age.Identity.
func (p *passphraseIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, age.ErrIncorrectIdentity
	}
	passphrase, err := p.ask()
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	id, err := age.NewScryptIdentity(string(passphrase.Reveal()))
	if err != nil {
		return nil, leger.Invalid("passphrase", "the passphrase is empty")
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	key, err := id.Unwrap(stanzas)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, leger.Errorf(leger.CodeForbidden, "the passphrase is wrong, or the beginning of the backup is damaged").
			WithHint("try again; without the passphrase the backup cannot be opened")
	}
	return key, err
}

// ReadPassphrase reads a passphrase's file: its first line. ErrInvalid.
func ReadPassphrase(file string) (leger.Plaintext, error) {
	b, err := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return leger.Plaintext{}, leger.WrapFile(leger.CodeInvalid, err, "read the passphrase")
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return leger.Plaintext{}, leger.Invalid("passphrase", "%s holds no passphrase on its first line", file)
	}
	return leger.NewPlaintext([]byte(line)), nil
}
