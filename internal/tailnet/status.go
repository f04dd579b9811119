package tailnet

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"leger.run/leger"
)

// status is the part of tailscaled's status that is needed
// (tailscale.com/ipn/ipnstate.Status).
type status struct {
	BackendState   string
	AuthURL        string
	MagicDNSSuffix string
	CertDomains    []string
	CurrentTailnet *struct{ MagicDNSSuffix string }
	Self           *peer
	User           map[string]profile // by decimal user id
}

type peer struct {
	ID           string // stable node id
	DNSName      string // with a dot at its end
	TailscaleIPs []netip.Addr
	UserID       int64
	Tags         []string
	Expired      bool
	KeyExpiry    *time.Time
}

type profile struct {
	ID        int64
	LoginName string
}

// lacksProfile reports whether the node is a person's without saying who that is:
// until 1.100 (https://github.com/tailscale/tailscale/issues/19894) tailscaled told
// that only together with the peers.
func (s status) lacksProfile() bool {
	if s.BackendState != "Running" || s.Self == nil || len(s.Self.Tags) > 0 {
		return false
	}
	_, described := s.User[strconv.FormatInt(s.Self.UserID, 10)]
	return !described
}

// identity gives whom the status vouches for at now, or why nobody.
func (s status) identity(now time.Time) (leger.Identity, error) {
	if err := s.running(now); err != nil {
		return leger.Identity{}, err
	}
	if s.Self == nil {
		return leger.Identity{}, noUser("it does not describe this machine")
	}
	if len(s.Self.Tags) > 0 {
		return leger.Identity{}, leger.Errorf(leger.CodeForbidden,
			"this machine is a tagged device (%s): it belongs to the tailnet, not to a person, so Leger cannot tell who you are", tagList(s.Self.Tags)).
			WithHint("use a machine you signed in to yourself, or sign this one in as you: sudo tailscale up --force-reauth --advertise-tags=")
	}
	if s.Self.UserID <= 0 {
		return leger.Identity{}, noUser("it names no user")
	}
	user, ok := s.User[strconv.FormatInt(s.Self.UserID, 10)]
	if !ok || user.LoginName == "" || (user.ID != 0 && user.ID != s.Self.UserID) {
		return leger.Identity{}, noUser("it names a user it does not describe")
	}
	id := leger.Identity{
		TailscaleUserID: leger.TailscaleUserIDOf(uint64(s.Self.UserID)),
		Email:           user.LoginName,
		Tailnet:         s.tailnet(),
		DeviceID:        s.Self.ID,
	}
	if err := id.Validate(); err != nil {
		return leger.Identity{}, leger.Wrap(leger.CodeForbidden, err, "Tailscale gives an identity Leger cannot use").
			WithHint("look at it with: tailscale status --json")
	}
	return id, nil
}

// running refuses every backend state but a working one.
func (s status) running(now time.Time) error {
	if s.Self != nil && (s.Self.Expired || (s.Self.KeyExpiry != nil && !s.Self.KeyExpiry.After(now))) {
		return leger.Errorf(leger.CodeMissingPart, "this machine's Tailscale key has expired, so Tailscale no longer vouches for you").
			WithHint("sudo tailscale up --force-reauth")
	}
	switch s.BackendState {
	case "Running":
		return nil
	case "NeedsLogin":
		hint := "sudo tailscale up"
		if s.AuthURL != "" {
			hint += "  (a sign-in is waiting in the browser)"
		}
		return leger.Errorf(leger.CodeMissingPart, "this machine is not signed in to Tailscale").WithHint("%s", hint)
	case "NeedsMachineAuth":
		return leger.Errorf(leger.CodeMissingPart, "this machine waits for the approval of your tailnet's administrator").
			WithHint("approve it at https://login.tailscale.com/admin/machines")
	case "Stopped":
		return leger.Errorf(leger.CodeMissingPart, "Tailscale is switched off on this machine").WithHint("sudo tailscale up")
	case "Starting", "NoState":
		return leger.Errorf(leger.CodeMissingPart, "Tailscale is still starting").
			WithHint("try again in a few seconds; if it stays so: tailscale status")
	case "InUseOtherUser":
		return leger.Errorf(leger.CodeForbidden, "Tailscale is in use by another user of this machine").
			WithHint("sign that user out of Tailscale first, or work as that user")
	default:
		return leger.Errorf(leger.CodeMissingPart, "Tailscale is in the state %q, which Leger does not know", clip(s.BackendState)).
			WithHint("tailscale status")
	}
}

// tailnet is the MagicDNS suffix; older tailscaled put it in one place only.
func (s status) tailnet() string {
	if s.CurrentTailnet != nil && s.CurrentTailnet.MagicDNSSuffix != "" {
		return s.CurrentTailnet.MagicDNSSuffix
	}
	return s.MagicDNSSuffix
}

func noUser(why string) error {
	return leger.Errorf(leger.CodeForbidden, "Tailscale runs, but tells no user: %s", why).
		WithHint("sign in again: sudo tailscale up --force-reauth")
}

func tagList(tags []string) string {
	const shown = 3
	quoted := make([]string, 0, shown)
	for _, t := range tags[:min(len(tags), shown)] {
		quoted = append(quoted, clip(t))
	}
	list := strings.Join(quoted, ", ")
	if more := len(tags) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// clip keeps foreign text harmless on a terminal.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most]
	}
	q := strconv.QuoteToGraphic(s)
	return q[1 : len(q)-1]
}
