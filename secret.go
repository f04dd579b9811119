package leger

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"
)

// Version counts the edits of one secret or one release: 1, 2, 3… Versions of a
// deleted secret are never used again. Zero means "does not exist".
type Version int64

// Redacted stands wherever a secret value would otherwise be printed.
const Redacted = "[redacted]"

// Plaintext holds a secret value in memory. Every way of printing it gives
// "[redacted]"; only Reveal opens it. Two of them cannot be compared with ==.
//
// fmt asks an unexported field of another struct no method and prints what it
// finds. So that it finds an address, the bytes lie behind two pointers: the first
// it follows when the verb does not suit a pointer, as in %s.
type Plaintext struct {
	_ [0]func()
	b **[]byte
}

// NewPlaintext takes ownership of b without checking it: for values that were
// checked when they were stored.
func NewPlaintext(b []byte) Plaintext {
	p := &b
	return Plaintext{b: &p}
}

// ParsePlaintext checks a value from outside: 1 byte to 64 KiB of UTF-8, kept
// byte for byte. It fails with ErrInvalid or ErrTooLarge, field "value".
func ParsePlaintext(b []byte) (Plaintext, error) {
	switch {
	case len(b) == 0:
		return Plaintext{}, Invalid("value", "the value is empty: a secret holds at least 1 byte")
	case len(b) > MaxSecretValue:
		return Plaintext{}, &Error{
			Code: CodeTooLarge, Field: "value",
			Message: fmt.Sprintf("the value has %d bytes: a secret holds at most %d", len(b), MaxSecretValue),
		}
	case !utf8.Valid(b):
		return Plaintext{}, Invalid("value", "the value is not UTF-8 text").
			WithHint("encode binary data first, for example with base64")
	}
	return NewPlaintext(b), nil
}

// Reveal gives the value itself, nil for the zero Plaintext. A test lists who
// calls it.
func (p Plaintext) Reveal() []byte {
	if p.b == nil {
		return nil
	}
	return **p.b
}

// Len is the value's length in bytes.
func (p Plaintext) Len() int {
	if p.b == nil {
		return 0
	}
	return len(**p.b)
}

// Wipe overwrites the value in memory.
func (p Plaintext) Wipe() {
	if p.b != nil {
		clear(**p.b)
	}
}

// String gives "[redacted]".
func (p Plaintext) String() string { return Redacted }

// GoString gives "[redacted]" to %#v.
func (p Plaintext) GoString() string { return Redacted }

// Format gives "[redacted]" for every verb, %x and %v alike.
func (p Plaintext) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// LogValue gives "[redacted]" to slog.
func (p Plaintext) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText gives "[redacted]", and so do encoding/json and encoding/xml.
func (p Plaintext) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// SecretInfo is what may be known of a secret without opening it.
type SecretInfo struct {
	ID           string // UUIDv4
	User         UserID
	Name         SecretName
	Version      Version
	CreatedAt    time.Time // when the secret was first made
	UpdatedAt    time.Time // when its current version was made
	LastAccessed time.Time // when its value last left the server, to the minute; zero: never
	// ValueID is ValueIDOf the version's nonce: the same number with another value, as
	// after a restored backup, has another one.
	ValueID string
	Scope   Scope // which machines it is given to
}

// ValueIDOf names a sealed value by its nonce, which is random, never used twice and
// says nothing about the value.
func ValueIDOf(nonce []byte) string { return base64.StdEncoding.EncodeToString(nonce) }

// SealedSecret is one version of a secret, encrypted: the only form in which a
// value reaches a store.
type SealedSecret struct {
	SecretInfo
	Ciphertext        []byte // with the GCM tag
	Nonce             []byte // 12 bytes, never used twice
	EncryptionVersion int    // 1
	KeyID             string
}

// NoSuchSecret is the error for a secret, or a version of it, that is not there or that
// whoever asks must not know of: the same for both. ErrNotFound.
func NoSuchSecret(name SecretName) error {
	return Errorf(CodeNotFound, "there is no secret %s, or not that version of it", name).
		WithHint("leger secrets list")
}

// SecretVersion is one line of a secret's history.
type SecretVersion struct {
	Version   Version
	CreatedAt time.Time
	Current   bool
}

// SecretWrite asks a store to make Sealed the current version of its secret,
// if the secret is at version Expect now (0: it never existed). After a
// deletion Expect is the version the tombstone remembers.
// Sealed.Version must be Expect+1.
type SecretWrite struct {
	Sealed SealedSecret
	Expect Version
	// Scope, when not nil, becomes the secret's; nil leaves it as it is, and a new
	// secret goes to all machines. Sealed.Scope counts for nothing.
	Scope *Scope
	Audit AuditEvent
}

// SecretState is what a writer must know before it seals the next version.
type SecretState struct {
	Version Version       // the last version ever given, 0 if none
	Deleted bool          // a tombstone: Version goes on from here
	Current *SealedSecret // nil when Deleted or never made
}

// SecretStore keeps sealed secrets. Every method is about one user; nothing of
// another user's is ever seen. Storage trouble is ErrUnavailable.
type SecretStore interface {
	// Secrets lists the live secrets in order of name.
	Secrets(ctx context.Context, user UserID) ([]SecretInfo, error)
	// SealedSecrets lists the live secrets with their current values, in order of name:
	// those that give takes, which is asked about each in that order, or all when give is
	// nil.
	SealedSecrets(ctx context.Context, user UserID, give func(SecretInfo) bool) ([]SealedSecret, error)
	// SealedSecret gives the current version, ErrNotFound if there is none.
	SealedSecret(ctx context.Context, user UserID, name SecretName) (SealedSecret, error)
	// SealedSecretVersion gives a kept version, ErrNotFound if it is not kept or the secret is deleted.
	SealedSecretVersion(ctx context.Context, user UserID, name SecretName, v Version) (SealedSecret, error)
	// SecretStates gives the state of each name, in the order asked; a name never used has Version 0.
	SecretStates(ctx context.Context, user UserID, names []SecretName) ([]SecretState, error)
	// SecretVersions lists the kept versions, newest first; ErrNotFound if there is no live secret.
	SecretVersions(ctx context.Context, user UserID, name SecretName) ([]SecretVersion, error)
	// PutSecrets makes all the writes or none. ErrConflict, with the version that
	// is current, if an Expect does not hold; ErrConflict too when the user would
	// own more than MaxSecretsPerUser (Version is then 0). A returned nil means the
	// writes survive power loss. All writes are of one user, names unique.
	PutSecrets(ctx context.Context, writes []SecretWrite) error
	// SetScope says which machines the secret is given to from now on. ErrNotFound if
	// there is no live secret.
	SetScope(ctx context.Context, user UserID, name SecretName, scope Scope, audit AuditEvent) error
	// DeleteSecret leaves a tombstone and forgets every value. ErrNotFound if there
	// is no live secret; ErrConflict if expect is not 0 and not the current version.
	DeleteSecret(ctx context.Context, user UserID, name SecretName, expect Version, audit AuditEvent) error
	// RecordAccess writes the audit event of a value read and marks the named
	// secrets (all live ones when names is empty) as accessed, to the minute. It
	// survives the end of the process at once and power loss within seconds.
	RecordAccess(ctx context.Context, user UserID, names []SecretName, audit AuditEvent) error
}

// RecordPlace is where a kept version stands among those of all users, ordered by user,
// name and version. The zero value is before the first.
type RecordPlace struct {
	User, Name string
	Version    Version
}

// Place is where the record stands among those of all users.
func (s *SealedSecret) Place() RecordPlace {
	return RecordPlace{User: s.User.String(), Name: s.Name.String(), Version: s.Version}
}
