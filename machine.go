package leger

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// MachineRole says what a machine may do for its owner.
type MachineRole string

// The roles of machines (design: "Roles and scopes").
const (
	// RoleFull: its owner works there. It may do whatever its owner may.
	RoleFull MachineRole = "full"
	// RoleDeliver: it reads the values that scopes give it and its owner's releases, and
	// reports itself. It writes nothing, reads no audit log, signs no browser in.
	RoleDeliver MachineRole = "deliver"
)

// ParseMachineRole takes one of the roles. ErrInvalid, field "role".
func ParseMachineRole(s string) (MachineRole, error) {
	if role := MachineRole(s); role == RoleFull || role == RoleDeliver {
		return role, nil
	}
	return "", Invalid("role", "%s is no role of a machine: it is %s or %s", quoteInput(s), RoleFull, RoleDeliver)
}

// MachineKey is the public half of a machine's Ed25519 key (RFC 8032). The zero
// value is no key.
type MachineKey struct{ b string }

// MachineKeyOf takes the public key of a private one.
func MachineKeyOf(private ed25519.PrivateKey) MachineKey {
	public, _ := private.Public().(ed25519.PublicKey)
	return MachineKey{string(public)}
}

// ParseMachineKey reads a key as text, base64url without padding, 43 characters.
// ErrInvalid, field "public_key".
func ParseMachineKey(text string) (MachineKey, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return MachineKey{}, Invalid("public_key", "the public key is not an Ed25519 key: 32 bytes as base64url without padding")
	}
	return MachineKey{string(b)}, nil
}

// String is the text that ParseMachineKey reads.
func (k MachineKey) String() string { return base64.RawURLEncoding.EncodeToString([]byte(k.b)) }

// MarshalText gives the text that ParseMachineKey reads.
func (k MachineKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText parses as ParseMachineKey does.
func (k *MachineKey) UnmarshalText(b []byte) (err error) {
	*k, err = ParseMachineKey(string(b))
	return err
}

// IsZero reports whether k is no key.
func (k MachineKey) IsZero() bool { return k.b == "" }

// Public is the key for package crypto/ed25519.
func (k MachineKey) Public() ed25519.PublicKey { return ed25519.PublicKey(k.b) }

// Fingerprint is what two people compare who want to know whether they look at the
// same key: the SHA-256 of its bytes, as OpenSSH shows one.
func (k MachineKey) Fingerprint() string {
	sum := sha256.Sum256([]byte(k.b))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Machine is a machine of a user that signs its own tokens: one key for each machine
// and Unix user on it.
type Machine struct {
	ID         string // UUIDv4, given by the server
	User       UserID
	Name       string // as its owner calls it; at first its host name
	UnixUser   string // whose key it is on the machine
	DeviceID   string // Tailscale's stable node id as the machine gave it; empty: none
	Role       MachineRole
	Groups     []string // in order; secrets may be given to a group (see Scope)
	Key        MachineKey
	CLIVersion string // that it was last seen with; empty: not told
	// EnrolledBy is how it proved at its enrolment whose it is.
	EnrolledBy   SignInMethod
	EnrolledAt   time.Time
	EnrolledFrom string    // address without port
	LastSeen     time.Time // to the minute
	LastAddr     string    // address without port
}

// KeylessMachine is one that signs in with the shared secret, and has no key of its own.
type KeylessMachine struct {
	Email    string // of its owner
	DeviceID string
	Name     string // as it reported itself; empty: it did not
	LastSeen time.Time
}

// Validate checks what comes from outside. ErrInvalid, with the field's name.
func (m Machine) Validate() error {
	if err := ParseMachineName(m.Name); err != nil {
		return err
	}
	if err := reportedText("unix_user", m.UnixUser, MaxUnixUser, true); err != nil {
		return err
	}
	if m.DeviceID != "" {
		if _, err := ParseDeviceID(m.DeviceID); err != nil {
			return err
		}
	}
	if _, err := ParseClientVersion(m.CLIVersion); err != nil {
		return err
	}
	if m.Key.IsZero() {
		return Invalid("public_key", "the public key is missing")
	}
	if _, err := ParseMachineRole(string(m.Role)); err != nil {
		return err
	}
	_, err := ParseMachineGroups(m.Groups)
	return err
}

// ParseMachineName checks a machine's name. ErrInvalid, field "name".
func ParseMachineName(s string) error {
	if strings.TrimSpace(s) != s {
		return Invalid("name", "the name of a machine neither begins nor ends with a space")
	}
	return reportedText("name", s, MaxHostName, true)
}

// ParseMachineGroups checks the groups of a machine and gives them in order, each
// once. A group is named as a secret is. ErrInvalid, field "groups".
func ParseMachineGroups(groups []string) ([]string, error) {
	for _, g := range groups {
		if _, err := ParseSecretName(g); err != nil {
			return nil, Invalid("groups", "%s is not the name of a group: 1 to %d letters, digits, _ and -", quoteInput(g), MaxSecretName)
		}
	}
	if err := atMost("groups", len(groups), MaxMachineGroups); err != nil {
		return nil, err
	}
	return slices.Compact(slices.Sorted(slices.Values(groups))), nil
}

// MachineChange is what an owner changes about a machine. Nil leaves it as it is.
type MachineChange struct {
	Name   *string
	Role   *MachineRole
	Groups *[]string
}

// MachineStore keeps the machines that sign their own tokens. Storage trouble is
// ErrUnavailable.
type MachineStore interface {
	// EnrolMachine makes a machine known and gives it back. A key that its owner
	// enrolled before is the same machine: it keeps id, role and groups, takes the
	// rest, and created is false. ErrConflict when the key is somebody else's, or the
	// owner has MaxMachinesPerUser machines. ErrNotFound if there is no such account.
	EnrolMachine(ctx context.Context, m Machine, audit AuditEvent) (enrolled Machine, created bool, err error)
	// Machines lists a user's machines in order of name, then of id.
	Machines(ctx context.Context, user UserID) ([]Machine, error)
	// MachineUser gives a machine by its id, and its owner. ErrNotFound: there is no
	// such machine, or it was revoked.
	MachineUser(ctx context.Context, id string) (Machine, User, error)
	// ChangeMachine changes a machine and gives it back. ErrNotFound.
	ChangeMachine(ctx context.Context, user UserID, id string, change MachineChange, audit AuditEvent) (Machine, error)
	// TouchMachine moves LastSeen forward, of its owner too, and says from where and
	// with which version. Losing it at power loss is harmless.
	TouchMachine(ctx context.Context, m Machine) error
	// RevokeMachine forgets a machine and what it reported: its next request is
	// refused. ErrNotFound.
	RevokeMachine(ctx context.Context, user UserID, id string, audit AuditEvent) error
}
