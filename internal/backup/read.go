package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// maxText bounds manifest.json and keys.json, in bytes.
const maxText = 1 << 20

// Unpacked is a backup that was read whole and found to be what was written.
type Unpacked struct {
	Manifest Manifest
	Keys     *Keys // nil: they are not in it
}

// Unpack reads a backup to its last byte and writes its database to the file database,
// which must not exist. What it gives, and the file, are good only if the error is nil.
// ErrInternal: the backup is damaged; ErrConflict: a newer Leger wrote it; ErrInvalid: it
// is not a backup; ErrUnavailable and ErrDisk: the file cannot be written.
func Unpack(from io.Reader, database string) (Unpacked, error) {
	r := &reader{from: from, digest: sha256.New(), database: database}
	r.tar = tar.NewReader(io.TeeReader(from, r.digest))
	if err := r.manifest(); err != nil {
		return Unpacked{}, err
	}
	if err := r.rest(); err != nil {
		return Unpacked{}, err
	}
	return r.found, nil
}

// reader goes through an archive from front to back.
type reader struct {
	from     io.Reader
	digest   hash.Hash
	tar      *tar.Reader
	database string
	found    Unpacked
}

// next goes to the next entry, which must have this name.
func (r *reader) next(name string) (*tar.Header, error) {
	h, err := r.tar.Next()
	switch {
	case err != nil:
		return nil, readError(err)
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return nil, damaged("it holds %.40q where %s should be", h.Name, name)
	}
	return h, nil
}

func (r *reader) text(name string) ([]byte, error) {
	h, err := r.next(name)
	if err != nil {
		return nil, err
	}
	if h.Size > maxText {
		return nil, damaged("%s is too long", name)
	}
	b, err := io.ReadAll(r.tar)
	return b, readError(err)
}

func (r *reader) manifest() error {
	b, err := r.text(manifestEntry)
	if errors.Is(err, leger.ErrInternal) {
		// Not a tar archive, or another program's.
		return leger.Wrap(leger.CodeInvalid, err, "this is not a backup of Leger, or its beginning is damaged").
			WithHint("a backup is a file that leger-server backup wrote")
	}
	if err != nil {
		return err
	}
	m := &r.found.Manifest
	if json.Unmarshal(b, m) != nil || m.Format < 1 {
		return damaged("its manifest cannot be read")
	}
	if m.Format > Format {
		return leger.Errorf(leger.CodeConflict, "the backup was written by a newer Leger (%.40q): its format is %d, and this one knows %d",
			m.LegerVersion, m.Format, Format).WithHint("install that version or a newer one")
	}
	return nil
}

func (r *reader) rest() error {
	if err := r.copyDatabase(); err != nil {
		return err
	}
	if r.found.Manifest.WithKeys {
		b, err := r.text(keysEntry)
		if err != nil {
			return err
		}
		defer clear(b)
		if r.found.Keys, err = decodeKeys(b); err != nil {
			return err
		}
	}
	h, err := r.next(digestEntry)
	if err != nil {
		return err
	}
	// So far the reader has taken this entry's header and nothing after it.
	want := digestContent(r.digest.Sum(nil))
	got, err := io.ReadAll(r.tar)
	if err != nil {
		return readError(err)
	}
	if h.Size != digestSize || !bytes.Equal(got, want) {
		return damaged("its digest is wrong")
	}
	return r.end()
}

// end reads what must follow the last content: its padding to a full block, two blocks
// of zeros, and nothing.
func (r *reader) end() error {
	const block = 512
	zeros := make([]byte, block-digestSize%block+2*block)
	got, err := io.ReadAll(io.LimitReader(r.from, int64(len(zeros))+1))
	if err != nil {
		return readError(err)
	}
	if !bytes.Equal(got, zeros) {
		return damaged("it does not end where it should")
	}
	return nil
}

func (r *reader) copyDatabase() error {
	h, err := r.next(databaseEntry)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.database, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "unpack the database")
	}
	sum := sha256.New()
	written, err := io.Copy(&target{f}, io.TeeReader(r.tar, sum))
	switch t, ok := errors.AsType[*targetError](err); {
	case ok:
		err = t.err
		return errors.Join(leger.WrapFile(leger.CodeUnavailable, err, "unpack the database").
			WithHint("free some space in the data directory's file system"), f.Close())
	case err != nil:
		return errors.Join(readError(err), f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close(), safefile.SyncParent(r.database)); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "unpack the database")
	}
	m := r.found.Manifest
	if written != h.Size || written != m.DatabaseSize || hex.EncodeToString(sum.Sum(nil)) != m.DatabaseSHA256 {
		return damaged("the digest of its database is wrong")
	}
	return nil
}

// target tells errors of writing from those of reading.
type target struct{ f *os.File }

type targetError struct{ err error }

func (e *targetError) Error() string { return e.err.Error() }

func (t *target) Write(p []byte) (int, error) {
	n, err := t.f.Write(p)
	if err != nil {
		return n, &targetError{err}
	}
	return n, nil
}

// readError gives the error of reading the archive: what is cut short is damage, and
// what age refuses says so itself.
func readError(err error) error {
	var known *leger.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return damaged("it is cut short")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return damaged("its archive cannot be read")
	}
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return leger.WrapFile(leger.CodeUnavailable, pathErr, "read the backup")
	}
	return damaged("%v", err)
}
