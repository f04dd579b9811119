// Package environ finds settings where the programs are told them: in a variable
// NAME, else in the file that NAME_FILE names, else in the systemd credential NAME
// (systemd.exec(5), LoadCredential=). The order is part of what the programs promise.
//
// A file holds the value and perhaps a line break at its end, which is no part of it.
// Files are held to the rules of package safefile; credentials are systemd's to guard.
// What a value means is up to the caller.
package environ

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// MaxFile bounds what a file may hold, in bytes. Keys, URLs and paths are far shorter.
const MaxFile = 64 << 10

// Lookup gives a variable and whether it is set, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// Get gives a variable, "" when it is not set.
func (l Lookup) Get(name string) string {
	value, _ := l(name)
	return value
}

// Value gives a setting, and in words for messages where it is from. Both are ""
// when it is nowhere. ErrInvalid or ErrDisk: its file cannot be read.
func (l Lookup) Value(name string) (value, from string, err error) {
	s, err := l.Find(name)
	if err != nil {
		return "", "", err
	}
	value, err = s.Read()
	return value, s.From, err
}

// Source is where a setting is found. The zero value is nowhere.
type Source struct {
	// From says it in words: NAME, NAME_FILE, or systemd credential NAME.
	From string
	// File holds the value; "" when the variable does.
	File string
	// Credential: systemd guards the file, with access lists that show as group
	// permissions.
	Credential bool

	value string
}

// Find tells where a setting is. A variable that is empty counts as not set. A file
// that NAME_FILE names need not exist; a credential does. ErrInvalid or ErrDisk when
// the credentials cannot be looked at.
func (l Lookup) Find(name string) (Source, error) {
	if value := l.Get(name); value != "" {
		return Source{From: name, value: value}, nil
	}
	if file := l.Get(name + "_FILE"); file != "" {
		return Source{From: name + "_FILE", File: file}, nil
	}
	dir := l.Get("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return Source{}, nil
	}
	s := Source{From: "systemd credential " + name, File: filepath.Join(dir, name), Credential: true}
	switch _, err := os.Stat(s.File); {
	case errors.Is(err, fs.ErrNotExist):
		return Source{}, nil
	case err != nil:
		return Source{}, leger.WrapFile(leger.CodeInvalid, err, "read the %s", s.From)
	}
	return s, nil
}

// Read gives the value. ErrInvalid when others may change its file.
func (s Source) Read() (string, error) { return s.read(safefile.Decides) }

// ReadSecret gives a value that is secret. ErrInvalid when others may read its file.
func (s Source) ReadSecret() (string, error) { return s.read(safefile.Hides) }

func (s Source) read(rule safefile.Rule) (string, error) {
	if s.File == "" {
		return s.value, nil
	}
	if err := s.check(rule); err != nil {
		return "", err
	}
	text, err := ReadFile(s.File)
	switch {
	case err == nil:
		return text, nil
	case s.Credential:
		return "", leger.WrapFile(leger.CodeInvalid, err, "read the %s", s.From)
	default:
		return "", leger.WrapFile(leger.CodeInvalid, err, "read %s, which %s names", s.File, s.From)
	}
}

// check leaves a file that is not there to be told of by who reads it, and pipes and
// terminals to who opened them.
func (s Source) check(rule safefile.Rule) error {
	info, err := os.Stat(s.File)
	if s.Credential || err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // see above
	}
	return safefile.CheckInfo(s.File, info, rule)
}

// ReadFile reads a file without one line break at its end. One that is longer than
// MaxFile is refused: a part of it would be another value.
func ReadFile(file string) (string, error) {
	f, err := os.Open(file) //nolint:gosec // G304: the user names their own files
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > MaxFile {
		return "", leger.Errorf(leger.CodeTooLarge, "it is longer than %d bytes", MaxFile)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
