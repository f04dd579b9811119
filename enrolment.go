package leger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"time"
)

// How machines are enrolled (design: "Who is calling").
const (
	// EnrolmentLifetime is how long a code can be approved, and how long the machine
	// that showed it may ask what became of it.
	EnrolmentLifetime = 10 * time.Minute
	// EnrolmentInterval is how long a machine waits between two questions.
	EnrolmentInterval = 3 * time.Second
	// MaxWrongCodes is how many wrong codes a user may enter within EnrolmentLifetime.
	MaxWrongCodes = 5
	// MaxEnrolments is how many machines may wait for their approval at the same time:
	// whoever reaches the server can ask, so there must be an end to it.
	MaxEnrolments = 500
	// InvitationLifetime is how long an invitation can be accepted.
	InvitationLifetime = time.Hour
	// MaxInvitations is how many invitations of a user may be open at the same time.
	MaxInvitations = 50
)

// codeAlphabet has no vowels, so that no code is a word, and nothing that looks like
// another letter or a digit (RFC 8628, 6.1).
const codeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"

// codeLength letters of the alphabet are 34 bits: with MaxWrongCodes a guesser has one
// chance in five thousand million per machine that waits.
const codeLength = 8

// EnrolmentCode is what a machine shows and a signed-in browser enters: eight letters.
// The zero value is no code.
type EnrolmentCode struct{ s string }

// NewEnrolmentCode makes one up.
func NewEnrolmentCode(random io.Reader) (EnrolmentCode, error) {
	// Bytes from 240 on are passed over: 256 is no multiple of 20.
	code, b := make([]byte, 0, codeLength), make([]byte, 1)
	for len(code) < codeLength {
		if _, err := io.ReadFull(random, b); err != nil {
			return EnrolmentCode{}, Wrap(CodeInternal, err, "read random bytes")
		}
		if n := int(b[0]); n < 256/len(codeAlphabet)*len(codeAlphabet) {
			code = append(code, codeAlphabet[n%len(codeAlphabet)])
		}
	}
	return EnrolmentCode{string(code)}, nil
}

// ParseEnrolmentCode reads a code as people type it: in either case, with or without
// the dash and spaces. ErrInvalid, field "code".
func ParseEnrolmentCode(text string) (EnrolmentCode, error) {
	s := strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(text))
	if len(s) != codeLength || strings.Trim(s, codeAlphabet) != "" {
		return EnrolmentCode{}, Invalid("code", "that is not a code such as BCDF-GHJK: it has 8 letters, and no vowels")
	}
	return EnrolmentCode{s}, nil
}

// String is the code with a dash in its middle, as it is shown.
func (c EnrolmentCode) String() string {
	if c.s == "" {
		return ""
	}
	return c.s[:codeLength/2] + "-" + c.s[codeLength/2:]
}

// MarshalText gives what String does.
func (c EnrolmentCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Ticket is a random secret of 256 bits that is shown to the server: the one that a machine
// asks with what became of its enrolment, an invitation, a link of a browser, the one of the
// server's operator. It prints as "[redacted]"; the server keeps its hash.
type Ticket struct{ p Plaintext }

// TicketHash is the SHA-256 of a ticket's text, in hex: what is stored.
type TicketHash string

// The texts of tickets begin with what they are, so that scanners for secrets find one
// that was committed or pasted by mistake.
const (
	PollPrefix       = "leger-poll-"
	InvitationPrefix = "leger-invite-"
)

// NewTicket makes one up.
func NewTicket(random io.Reader, prefix string) (Ticket, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(random, b); err != nil {
		return Ticket{}, Wrap(CodeInternal, err, "read random bytes")
	}
	return Ticket{NewPlaintext(base64.RawURLEncoding.AppendEncode([]byte(prefix), b))}, nil
}

// ParseTicket reads the text of a ticket. ErrInvalid, with the field's name, when it
// cannot be one; the message does not repeat it.
func ParseTicket(field, prefix, text string) (Ticket, error) {
	rest, ok := strings.CutPrefix(text, prefix)
	if b, err := base64.RawURLEncoding.Strict().DecodeString(rest); !ok || err != nil || len(b) != 32 {
		return Ticket{}, Invalid(field, "that is not what begins with %s and has %d characters", prefix, len(prefix)+43)
	}
	return Ticket{NewPlaintext([]byte(text))}, nil
}

// Reveal gives the text, to be sent or shown to whom it is for.
func (t Ticket) Reveal() string { return string(t.p.Reveal()) }

// Hash is what the server keeps.
func (t Ticket) Hash() TicketHash {
	sum := sha256.Sum256(t.p.Reveal())
	return TicketHash(hex.EncodeToString(sum[:]))
}

// Enrolment is a machine that asks to be enrolled, and shows a code until a signed-in
// browser approves it.
type Enrolment struct {
	Code      EnrolmentCode
	Poll      TicketHash
	Machine   Machine // what the machine says of itself; User, ID, Role and Groups are not its to say
	ExpiresAt time.Time
	// Approved is the id of the machine that it became; empty while it waits.
	Approved string
}

// Invitation lets one machine enrol itself, within an hour.
type Invitation struct {
	ID        string // by which its owner names it; opens nothing
	User      UserID
	Ticket    TicketHash
	Name      string // of the machine; empty: its host name
	Role      MachineRole
	Groups    []string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// EnrolmentStore keeps what machines are enrolled by. Storage trouble is
// ErrUnavailable.
type EnrolmentStore interface {
	// AskToEnrol keeps a machine's request. ErrConflict: the code is another's at the
	// moment. ErrRateLimited: MaxEnrolments wait already.
	AskToEnrol(ctx context.Context, e Enrolment) error
	// Enrolment gives what waits under a code at now. ErrNotFound: nothing does, which
	// counts against the user: after MaxWrongCodes within EnrolmentLifetime it is
	// ErrRateLimited, whatever the code.
	Enrolment(ctx context.Context, user UserID, code EnrolmentCode, now time.Time) (Enrolment, error)
	// ApproveEnrolment enrols m, whose User approves, in place of what waits under the
	// code. Of many at once one succeeds. ErrNotFound, and as EnrolMachine.
	ApproveEnrolment(ctx context.Context, code EnrolmentCode, m Machine, audit AuditEvent) (Machine, error)
	// DenyEnrolment forgets what waits under a code. ErrNotFound.
	DenyEnrolment(ctx context.Context, code EnrolmentCode, audit AuditEvent) error
	// PollEnrolment gives a request by its ticket, approved or not. ErrNotFound: it was
	// denied, or it is over at now.
	PollEnrolment(ctx context.Context, poll TicketHash, now time.Time) (Enrolment, error)

	// Invite keeps an invitation. ErrConflict: the user has MaxInvitations.
	Invite(ctx context.Context, in Invitation, audit AuditEvent) error
	// Invitations lists a user's that are open at now, the newest first.
	Invitations(ctx context.Context, user UserID, now time.Time) ([]Invitation, error)
	// Invitation gives an open one by its ticket. ErrNotFound: there is none, or it was
	// accepted, withdrawn, or is over at now.
	Invitation(ctx context.Context, ticket TicketHash, now time.Time) (Invitation, error)
	// AcceptInvitation enrols m in exchange for the invitation. Of many at once one
	// succeeds. ErrNotFound as Invitation, and as EnrolMachine.
	AcceptInvitation(ctx context.Context, in Invitation, m Machine, audit AuditEvent) (Machine, error)
	// WithdrawInvitation forgets one. ErrNotFound.
	WithdrawInvitation(ctx context.Context, user UserID, id string, audit AuditEvent) error
}
