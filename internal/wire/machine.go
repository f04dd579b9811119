package wire

import "leger.run/leger"

// Machines is the answer of GET /api/machines, in order of name.
type Machines struct {
	Machines []Machine `json:"machines"`
}

// Machine is a machine that signs its own tokens, as its owner sees it.
type Machine struct {
	ID           string             `json:"id"`
	Name         string             `json:"name"`
	UnixUser     string             `json:"unix_user"`
	DeviceID     string             `json:"device_id,omitempty"` // Tailscale's
	Role         leger.MachineRole  `json:"role"`
	Groups       []string           `json:"groups"`
	Fingerprint  string             `json:"fingerprint"`
	CLIVersion   string             `json:"cli_version,omitempty"`
	EnrolledBy   leger.SignInMethod `json:"enrolled_by"`
	EnrolledAt   Time               `json:"enrolled_at"`
	EnrolledFrom string             `json:"enrolled_from"`
	LastSeen     Time               `json:"last_seen"` // to the minute
	LastAddr     string             `json:"last_addr"`
	Current      bool               `json:"current"` // the one that asks
}

// MachineOf converts a machine.
func MachineOf(m leger.Machine) Machine {
	return Machine{
		ID: m.ID, Name: m.Name, UnixUser: m.UnixUser, DeviceID: m.DeviceID, Role: m.Role,
		Groups: append([]string{}, m.Groups...), Fingerprint: m.Key.Fingerprint(), CLIVersion: m.CLIVersion,
		EnrolledBy: m.EnrolledBy, EnrolledAt: At(m.EnrolledAt), EnrolledFrom: m.EnrolledFrom,
		LastSeen: At(m.LastSeen), LastAddr: m.LastAddr,
	}
}

// MachineEnrolment is the body of POST /api/machines.
type MachineEnrolment struct {
	Name      string `json:"name"`
	UnixUser  string `json:"unix_user"`
	DeviceID  string `json:"device_id,omitempty"`
	PublicKey string `json:"public_key"` // Ed25519, base64url without padding
}

// MachineEnrolled is the answer of POST /api/machines.
type MachineEnrolled struct {
	Machine
	Created bool `json:"created"` // false: the key was known already
}

// MachinePatch is the body of PATCH /api/machines/{id}; what is absent stays.
type MachinePatch struct {
	Name   *string            `json:"name,omitempty"`
	Role   *leger.MachineRole `json:"role,omitempty"`
	Groups *[]string          `json:"groups,omitempty"`
}

// States of an enrolment.
const (
	EnrolmentWaits = "waits"    // until a signed-in browser approves the code
	EnrolmentDone  = "enrolled" // the machine's key is good from now on
)

// EnrolmentAsk is the body of POST /api/enrolments: a machine that is not signed in
// says who it is. Invitation, when it has one, enrols it at once.
type EnrolmentAsk struct {
	Name       string `json:"name"`
	UnixUser   string `json:"unix_user"`
	DeviceID   string `json:"device_id,omitempty"`
	PublicKey  string `json:"public_key"` // Ed25519, base64url without padding
	CLIVersion string `json:"cli_version,omitempty"`
	Invitation string `json:"invitation,omitempty"`
}

// EnrolmentState is the answer to a machine that asks to be enrolled, and that asks
// what became of it.
type EnrolmentState struct {
	State string `json:"state"`
	// While it waits: what the machine shows, and what it asks again with, after at
	// least Interval seconds.
	Code            string `json:"code,omitempty"`
	VerificationURL string `json:"verification_url,omitempty"`
	Poll            string `json:"poll,omitempty"`
	Interval        int    `json:"interval,omitempty"`
	ExpiresAt       *Time  `json:"expires_at,omitempty"`
	Fingerprint     string `json:"fingerprint,omitempty"`
	// When it is enrolled: whose it is, and as what.
	User    *User    `json:"user,omitempty"`
	Machine *Machine `json:"machine,omitempty"`
}

// EnrolmentPoll is the body of POST /api/enrolments:poll.
type EnrolmentPoll struct {
	Poll string `json:"poll"`
}

// Enrolment is what waits under a code, for who compares it with what the machine
// shows.
type Enrolment struct {
	Code        string `json:"code"`
	Name        string `json:"name"`
	UnixUser    string `json:"unix_user"`
	DeviceID    string `json:"device_id,omitempty"`
	Fingerprint string `json:"fingerprint"`
	CLIVersion  string `json:"cli_version,omitempty"`
	AskedAt     Time   `json:"asked_at"`
	AskedFrom   string `json:"asked_from"`
	ExpiresAt   Time   `json:"expires_at"`
}

// EnrolmentOf converts a request that waits.
func EnrolmentOf(e leger.Enrolment) Enrolment {
	m := e.Machine
	return Enrolment{
		Code: e.Code.String(), Name: m.Name, UnixUser: m.UnixUser, DeviceID: m.DeviceID, Fingerprint: m.Key.Fingerprint(),
		CLIVersion: m.CLIVersion, AskedAt: At(m.EnrolledAt), AskedFrom: m.EnrolledFrom, ExpiresAt: At(e.ExpiresAt),
	}
}

// MachineTerms are what a machine is enrolled as: the body of
// POST /api/enrolments/{code} and POST /api/invitations. What is absent is the
// machine's own name, the role deliver for an invitation and full for a code, and no
// groups.
type MachineTerms struct {
	Name   string            `json:"name,omitempty"`
	Role   leger.MachineRole `json:"role,omitempty"`
	Groups []string          `json:"groups,omitempty"`
}

// Invitation is one that is open.
type Invitation struct {
	ID        string            `json:"id"`
	Name      string            `json:"name,omitempty"`
	Role      leger.MachineRole `json:"role"`
	Groups    []string          `json:"groups"`
	CreatedAt Time              `json:"created_at"`
	ExpiresAt Time              `json:"expires_at"`
}

// InvitationOf converts an invitation.
func InvitationOf(in leger.Invitation) Invitation {
	return Invitation{
		ID: in.ID, Name: in.Name, Role: in.Role, Groups: append([]string{}, in.Groups...),
		CreatedAt: At(in.CreatedAt), ExpiresAt: At(in.ExpiresAt),
	}
}

// Invitations is the answer of GET /api/invitations, the newest first.
type Invitations struct {
	Invitations []Invitation `json:"invitations"`
}

// InvitationMade is the answer of POST /api/invitations. Text is what enrols a machine,
// once: it is shown here and nowhere else.
type InvitationMade struct {
	Invitation
	Text string `json:"invitation"`
}
