package leger

// Peer is the node at the other end of a connection, as Tailscale vouches for it.
type Peer struct {
	// Identity is that of the node's user. The zero value: the node is tagged, and
	// belongs to nobody.
	Identity Identity
	Node     string // its stable id
	Name     string // in the tailnet
	Tags     []string
	// Access: the tailnet's policy grants it GrantAccess.
	Access bool
	// Machine is what the policy grants it by GrantMachine; nil for nothing.
	Machine *MachineGrant
}

// The application capabilities that a tailnet policy may grant a node at the server
// (https://tailscale.com/kb/1324/grants).
const (
	// GrantAccess lets the users of a node sign in, where the server asks for it.
	GrantAccess = "leger.run/cap/access"
	// GrantMachine enrols a tagged node for an owner, without a question.
	GrantMachine = "leger.run/cap/machine"
)

// MachineGrant says what a node is enrolled as.
type MachineGrant struct {
	Owner  string // e-mail of the account
	Role   MachineRole
	Groups []string
}

// Person reports whether Tailscale names a user of the node.
func (p Peer) Person() bool { return p.Identity.Email != "" }
