// Package secretsync brings the user's secrets from the server to the machine's
// store (legerd) and asks it to bring them to Podman.
//
// Its invariant: wherever a sync is cut, every secret is at its old or at its new
// value, and the next sync finishes the job. The plan is a pure value; each of
// its steps can be repeated.
//
// It deliberately knows neither HTTP nor Podman nor how the store names things:
// the server and the store are the small interfaces below, and both are about one
// user.
package secretsync

import (
	"context"

	"leger.run/leger"
)

// Value is one secret as the server holds it.
type Value struct {
	Name    leger.SecretName
	Version leger.Version
	Value   leger.Plaintext
}

// Origin identifies the data that a server serves, in both fields as the server
// says. The zero Origin is of a server that tells none.
type Origin struct {
	// Installation is the same for as long as it is the same data, at any address.
	Installation string
	// Epoch rises when the data went back to an earlier state: from then on a version
	// number may have another value than before.
	Epoch int64
}

// List is what the server answers.
type List struct {
	Values []Value // those that this machine is given, opened; the caller wipes them
	// Withheld are secrets that there are and that this machine is not given, as far as
	// it is told.
	Withheld []leger.SecretName
	Origin   Origin
	ETag     string
	// NotModified: the tag that was sent still holds. Then there is nothing else.
	NotModified bool
}

// Server is where the secrets come from.
type Server interface {
	// SecretValues gives the user's secrets, as far as this machine is given them. etag is of an earlier call, or empty.
	// Any error means that nothing is known of any secret.
	SecretValues(ctx context.Context, etag string) (List, error)
}

// Held is one secret as the machine's store holds it.
type Held struct {
	Name   leger.SecretName
	Active leger.Version
	Kept   []leger.Version // all that have a value, the active one among them
}

// Leftover is a secret of Leger's in Podman that does not come from the user's part
// of the store: it is another user's, or the store has lost it.
type Leftover struct {
	Name    leger.SecretName
	Version leger.Version // 0: not known
	Owner   leger.UserID  // the other user; zero: this one
}

// Local is the user's part of the machine's store. An ErrMissingPart from any method means that it
// cannot be reached: the sync stops there.
type Local interface {
	// List gives every secret of the user.
	List(ctx context.Context) ([]Held, error)
	// Value gives the value of a version. ErrNotFound.
	Value(ctx context.Context, name leger.SecretName, v leger.Version) (leger.Plaintext, error)
	// Create writes a version and makes it the active one. ErrConflict if the number
	// was ever used for this secret.
	Create(ctx context.Context, name leger.SecretName, v leger.Version, value leger.Plaintext) error
	// Replace does so whatever value the number had. The secret's other versions are
	// forgotten. Cut anywhere, the secret has its old or its new value.
	Replace(ctx context.Context, name leger.SecretName, v leger.Version, value leger.Plaintext) error
	// Activate makes a version that has a value the active one. ErrNotFound.
	Activate(ctx context.Context, name leger.SecretName, v leger.Version) error
	// DeleteVersion forgets one version that is not active. ErrNotFound.
	DeleteVersion(ctx context.Context, name leger.SecretName, v leger.Version) error
	// Delete forgets the secret, its used numbers too. ErrNotFound.
	Delete(ctx context.Context, name leger.SecretName) error
	// Leftovers asks Podman. ErrMissingPart and ErrUnavailable without it.
	Leftovers(ctx context.Context) ([]Leftover, error)
	// Reconcile makes Podman's secrets equal to the store's and tells, for each
	// secret it looked at, how that went. Of what the store does not have only the
	// names in remove are removed.
	Reconcile(ctx context.Context, remove []leger.SecretName) ([]Verdict, error)
}

// Verdict is what the store says of one secret after it was brought to Podman.
type Verdict struct {
	Name  leger.SecretName
	State string // the store's own word, e.g. "created"
	Err   error  // nil: the container side holds what the store holds
}
