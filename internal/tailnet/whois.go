package tailnet

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"leger.run/leger"
)

// whois is the part of tailscaled's answer that is needed
// (tailscale.com/client/tailscale/apitype.WhoIsResponse).
type whois struct {
	Node        *whoisNode
	UserProfile *profile
	CapMap      map[string][]json.RawMessage
}

type whoisNode struct {
	StableID string
	Name     string // with the tailnet's suffix and a dot
	User     int64
	Tags     []string
	Expired  bool
	// KeyExpiry is the zero time for a key that does not expire.
	KeyExpiry time.Time
}

// WhoIs tells whose node an address of the tailnet is. ErrNotFound when Tailscale does
// not know the address or does not vouch for its node any more; ErrForbidden and
// ErrMissingPart as from Identity, when tailscaled cannot be asked.
func (n *Node) WhoIs(ctx context.Context, addr netip.Addr) (leger.Peer, error) {
	if !addr.IsValid() || addr.IsLoopback() || addr.Zone() != "" {
		return leger.Peer{}, unknownPeer()
	}
	raw, err := n.askSocket(ctx, "whois?addr="+url.QueryEscape(addr.Unmap().String()))
	if errors.Is(err, leger.ErrNotFound) {
		return leger.Peer{}, unknownPeer()
	}
	if err != nil {
		return leger.Peer{}, explain(ctx, err, false)
	}
	var w whois
	if err := json.Unmarshal(raw, &w); err != nil {
		return leger.Peer{}, leger.Wrap(leger.CodeMissingPart, err, "tailscaled's answer cannot be read").
			WithHint("update Tailscale: sudo tailscale update")
	}
	return w.peer(n.cfg.Now())
}

func unknownPeer() error {
	return leger.Errorf(leger.CodeNotFound, "Tailscale does not know who is at that address")
}

func (w whois) peer(now time.Time) (leger.Peer, error) {
	node := w.Node
	if node == nil || node.StableID == "" || node.Expired || (node.KeyExpiry.Unix() > 0 && !node.KeyExpiry.After(now)) {
		return leger.Peer{}, unknownPeer()
	}
	name, suffix, _ := strings.Cut(strings.TrimSuffix(node.Name, "."), ".")
	p := leger.Peer{Node: node.StableID, Name: name, Tags: node.Tags}
	_, p.Access = w.CapMap[leger.GrantAccess]
	if len(node.Tags) > 0 {
		p.Machine = machineGrant(w.CapMap[leger.GrantMachine])
		return p, nil
	}
	if node.User <= 0 || w.UserProfile == nil || w.UserProfile.ID != node.User || w.UserProfile.LoginName == "" {
		return leger.Peer{}, unknownPeer()
	}
	p.Identity = leger.Identity{
		TailscaleUserID: leger.TailscaleUserIDOf(uint64(node.User)), Email: w.UserProfile.LoginName,
		Tailnet: suffix, DeviceID: node.StableID,
	}
	if err := p.Identity.Validate(); err != nil {
		return leger.Peer{}, leger.Wrap(leger.CodeNotFound, err, "Tailscale gives an identity Leger cannot use").
			WithHint("look at it with: tailscale whois ADDRESS")
	}
	return p, nil
}

// machineGrant reads the grant of a tagged node. Of several the first that can be read
// counts; one that cannot grants nothing.
func machineGrant(values []json.RawMessage) *leger.MachineGrant {
	for _, raw := range values {
		var g struct {
			Owner  string   `json:"owner"`
			Role   string   `json:"role"`
			Groups []string `json:"groups"`
		}
		if json.Unmarshal(raw, &g) != nil || g.Owner == "" {
			continue
		}
		role := leger.RoleDeliver
		if g.Role != "" {
			var err error
			if role, err = leger.ParseMachineRole(g.Role); err != nil {
				continue
			}
		}
		groups, err := leger.ParseMachineGroups(g.Groups)
		if err != nil {
			continue
		}
		return &leger.MachineGrant{Owner: g.Owner, Role: role, Groups: groups}
	}
	return nil
}

const (
	// peerFor is how long an answer about an address counts (design: "Who is calling").
	peerFor = time.Minute
	// maxPeers bounds the memory of a Directory.
	maxPeers = 1024
)

// Directory remembers for a minute whose an address is. Safe for concurrent use.
type Directory struct {
	whoIs func(context.Context, netip.Addr) (leger.Peer, error)
	now   func() time.Time

	mu    sync.Mutex
	peers map[netip.Addr]remembered
}

type remembered struct {
	peer  leger.Peer
	until time.Time
}

// NewDirectory makes a Directory over what tells who is at an address.
func NewDirectory(whoIs func(context.Context, netip.Addr) (leger.Peer, error), now func() time.Time) *Directory {
	return &Directory{whoIs: whoIs, now: now, peers: map[netip.Addr]remembered{}}
}

// WhoIs is that of Node, remembered. Errors are not.
func (d *Directory) WhoIs(ctx context.Context, addr netip.Addr) (leger.Peer, error) {
	addr = addr.Unmap()
	d.mu.Lock()
	r, ok := d.peers[addr]
	d.mu.Unlock()
	now := d.now()
	if ok && now.Before(r.until) && !now.Before(r.until.Add(-peerFor)) {
		return r.peer, nil
	}
	peer, err := d.whoIs(ctx, addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		delete(d.peers, addr)
		return peer, err
	}
	if len(d.peers) >= maxPeers {
		clear(d.peers)
	}
	d.peers[addr] = remembered{peer, now.Add(peerFor)}
	return peer, nil
}
