package leger

import (
	"context"
	"io"
	"time"
)

// Action says what an audit event is about: a noun of the domain and a verb.
type Action string

// The actions that are recorded.
const (
	ActionSignIn            Action = "user.sign_in"
	ActionSignInRefused     Action = "user.sign_in_refused"
	ActionSignOutEverywhere Action = "user.sign_out_everywhere"
	ActionUserUpdate        Action = "user.update"
	ActionUserDelete        Action = "user.delete"
	ActionSessionEnd        Action = "session.end"
	ActionSessionLink       Action = "session.link" // a browser made a link that signs another one in
	ActionTokenRevoke       Action = "token.revoke"
	ActionAccessDenied      Action = "access.denied"
	ActionSecretCreate      Action = "secret.create"
	ActionSecretUpdate      Action = "secret.update"
	ActionSecretRestore     Action = "secret.restore"
	ActionSecretDelete      Action = "secret.delete"
	ActionSecretRead        Action = "secret.read"
	ActionSecretScope       Action = "secret.scope" // the machines that it is given to changed; detail: to which
	ActionReleaseCreate     Action = "release.create"
	ActionReleaseUpdate     Action = "release.update"
	ActionReleaseDelete     Action = "release.delete"
	ActionHostAdd           Action = "host.add"
	ActionHostForget        Action = "host.forget"
	ActionMachineEnrol      Action = "machine.enrol"
	ActionMachineUpdate     Action = "machine.update"
	ActionMachineRevoke     Action = "machine.revoke"
	ActionMachineDeny       Action = "machine.deny"   // an enrolment by code was refused
	ActionMachineInvite     Action = "machine.invite" // subject: the invitation's id
	ActionMachineUninvite   Action = "machine.uninvite"
	ActionKeyRotate         Action = "key.rotate"
	ActionServerMove        Action = "server.move"    // the server's data went to another database
	ActionServerRestore     Action = "server.restore" // the server's data was restored from a backup
	ActionAuditRestart      Action = "audit.restart"  // the chains of the audit log were begun anew
)

// Credential says how the caller of an audited action proved who they are.
type Credential string

// The credentials.
const (
	CredentialMachine  Credential = "machine"  // a token that a machine signed with its key
	CredentialToken    Credential = "token"    // a token signed with the shared secret
	CredentialSession  Credential = "session"  // browser cookie
	CredentialTailnet  Credential = "tailnet"  // Tailscale, asked who is calling
	CredentialOperator Credential = "operator" // leger-server's own commands, or who can write to its database
	CredentialNone     Credential = "none"     // nobody was proved
)

// AuditEvent is one line of the audit log: who did what to what, from where,
// when. It never holds a value.
type AuditEvent struct {
	ID         int64 // given by the store; grows
	At         time.Time
	User       UserID // zero: unknown
	Action     Action
	Subject    string  // secret or release name, session or device id; for many secrets "*"
	Version    Version // of the subject; 0: none
	Count      int     // how many subjects; 0 and 1 are one
	Credential Credential
	DeviceID   string
	RemoteAddr string
	RequestID  string
	Detail     string // e.g. the code of a refusal, the name of a machine
}

// AuditPage asks for a user's events, newest first.
type AuditPage struct {
	Limit  int   // 1 to MaxPageSize
	Before int64 // only events with a smaller ID; 0: from the newest
	AuditFilter
}

// AuditFilter chooses events. What is zero chooses all.
type AuditFilter struct {
	Action   Action
	Subject  string
	DeviceID string
	Since    time.Time // not before this
	Until    time.Time // before this
}

// Actions are the actions that are recorded, in order.
func Actions() []Action {
	return []Action{
		ActionAccessDenied, ActionAuditRestart, ActionHostAdd, ActionHostForget, ActionKeyRotate, ActionMachineDeny, ActionMachineEnrol,
		ActionMachineInvite, ActionMachineRevoke, ActionMachineUninvite, ActionMachineUpdate, ActionReleaseCreate,
		ActionReleaseDelete, ActionReleaseUpdate, ActionSecretCreate, ActionSecretDelete, ActionSecretRead,
		ActionSecretRestore, ActionSecretScope, ActionSecretUpdate, ActionServerMove, ActionServerRestore, ActionSessionEnd,
		ActionSessionLink, ActionTokenRevoke,
		ActionUserDelete, ActionSignIn, ActionSignInRefused, ActionSignOutEverywhere, ActionUserUpdate,
	}
}

// SealedKey is a key, sealed with the encryption key of this id.
type SealedKey struct {
	KeyID             string
	Nonce, Ciphertext []byte
}

// AuditKeys seals and opens the key of the audit log.
type AuditKeys interface {
	CurrentID() string
	// SealAuditKey seals with the current key.
	SealAuditKey(random io.Reader, raw []byte) (SealedKey, error)
	// OpenAuditKey gives the raw key. ErrInvalid, naming the key that is missing.
	OpenAuditKey(key SealedKey) ([]byte, error)
}

// AuditLog keeps audit events. Storage trouble is ErrUnavailable.
type AuditLog interface {
	// AppendAudit writes an event that belongs to no other change (a refusal).
	AppendAudit(ctx context.Context, e AuditEvent) error
	// AuditEvents gives a page; next is the Before of the following page, 0 at the end. A
	// page of a filter may hold fewer events than there are, even none, and have a next.
	AuditEvents(ctx context.Context, user UserID, page AuditPage) (events []AuditEvent, next int64, err error)
}
