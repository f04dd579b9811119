package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

// taggedDevices is the owner that the real control server gives to every node
// with tags, whoever added it.
func taggedDevices() tailcfg.UserProfile {
	return tailcfg.UserProfile{
		ID:          2147455555,
		LoginName:   "tagged-devices",
		DisplayName: "Tagged Devices",
	}
}

// State is what the nodes are told about themselves.
type State struct {
	// LoginName, DisplayName and UserID are the identity of the nodes' owner.
	LoginName   string `json:"login_name"`
	DisplayName string `json:"display_name"`
	UserID      int64  `json:"user_id"`
	// Tailnet is the name of the network, MagicDNSSuffix what its names end in.
	Tailnet        string `json:"tailnet"`
	MagicDNSSuffix string `json:"magic_dns_suffix"`
	// Tags, when not empty, take the nodes away from their owner.
	Tags []string `json:"tags"`
	// KeyExpired says that the nodes' keys are past their time.
	KeyExpired bool `json:"key_expired"`
	// Unapproved says that an admin has yet to approve the nodes.
	Unapproved bool `json:"unapproved"`
	// Members, when there are any, make the nodes a network: each node is the member of
	// its host name, and is told of the others.
	Members map[string]Member `json:"members"`
}

// Member is one node of a network. Empty fields are those of the State.
type Member struct {
	LoginName      string   `json:"login_name"`
	UserID         int64    `json:"user_id"`
	MagicDNSSuffix string   `json:"magic_dns_suffix"`
	Tags           []string `json:"tags"`
	// Grants are the application capabilities that it has at every other node.
	Grants tailcfg.PeerCapMap `json:"grants"`
}

// control is the test server with a State on top.
type control struct {
	upstream *testcontrol.Server

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed and replaced at each change
}

// newControl returns a control server that nodes reach under url, and that
// sends them to the given relays.
func newControl(url string, relays *tailcfg.DERPMap, state State, requireLogin bool) *control {
	c := &control{state: state, changed: make(chan struct{})}
	c.upstream = &testcontrol.Server{
		Logf:            log.Printf,
		ExplicitBaseURL: url,
		RequireAuth:     requireLogin,
		DERPMap:         relays,
		AltMapStream:    c.serveMap,
	}
	return c
}

// handler routes the node's requests to the test server and the test's to us.
func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	// Only what the test server knows: it panics on any other path.
	for _, known := range []string{"/key", "/ts2021", "/c2n/", "/generate_204"} {
		mux.Handle(known, c.upstream)
	}
	mux.HandleFunc("GET /rig/state", func(w http.ResponseWriter, _ *http.Request) {
		state, _ := c.current()
		answer(w, state)
	})
	mux.HandleFunc("PATCH /rig/state", c.patchState)
	mux.HandleFunc("POST /rig/login", c.completeLogin)
	return mux
}

// current returns the state and a channel that is closed when it changes.
func (c *control) current() (State, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.state
	state.Tags = slices.Clone(state.Tags)
	return state, c.changed
}

// patchState changes the fields that the body has and wakes the nodes.
func (c *control) patchState(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.state
	state.Tags = slices.Clone(state.Tags) // decoding reuses what a slice has
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&state); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// What a node is told when it registers again has to agree with the map.
	c.upstream.SetExpireAllNodes(state.KeyExpired)
	c.state = state
	close(c.changed)
	c.changed = make(chan struct{})
	answer(w, state)
}

// completeLogin plays the person who visits the login page.
func (c *control) completeLogin(w http.ResponseWriter, r *http.Request) {
	var body struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !c.upstream.CompleteAuth(body.URL) {
		http.Error(w, fmt.Sprintf("nobody waits for a login at %q", body.URL), http.StatusNotFound)
		return
	}
	answer(w, struct{}{})
}

// serveMap answers one map request of a node, in place of the test server.
func (c *control) serveMap(ctx context.Context, w testcontrol.MapStreamWriter, req *tailcfg.MapRequest) {
	if !req.Stream {
		// The node tells about itself and waits for nothing but an answer.
		c.hear(req)
		if err := w.SendMapMessage(&tailcfg.MapResponse{}); err != nil {
			log.Printf("answer %s: %v", req.NodeKey.ShortString(), err)
		}
		return
	}
	// Nodes give up after two minutes of silence.
	keepAlive := time.NewTicker(50 * time.Second)
	defer keepAlive.Stop()
	for {
		state, changed := c.current()
		response, err := c.upstream.MapResponse(req)
		if err != nil || response == nil {
			log.Printf("no such node %s: %v", req.NodeKey.ShortString(), err)
			return
		}
		if len(state.Members) > 0 {
			state.connect(response, time.Now())
		} else {
			state.describe(response, time.Now())
		}
		if err := w.SendMapMessage(response); err != nil {
			return // the node hung up
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				waiting = false
			case <-keepAlive.C:
				if err := w.SendMapMessage(&tailcfg.MapResponse{KeepAlive: true}); err != nil {
					return
				}
			}
		}
	}
}

// hear takes what a node tells of itself, and tells the others: they need its keys and
// the relay that it listens at.
func (c *control) hear(req *tailcfg.MapRequest) {
	state, _ := c.current()
	node := c.upstream.Node(req.NodeKey)
	if len(state.Members) == 0 || node == nil {
		return
	}
	node.DiscoKey, node.Cap = req.DiscoKey, req.Version
	if req.Hostinfo != nil {
		node.Hostinfo = req.Hostinfo.View()
		if info := req.Hostinfo.NetInfo; info != nil && info.PreferredDERP != 0 {
			node.HomeDERP = info.PreferredDERP
		}
	}
	c.upstream.UpdateNode(node)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// connect makes the nodes members of one network.
func (s State) connect(response *tailcfg.MapResponse, now time.Time) {
	profiles := map[tailcfg.UserID]tailcfg.UserProfile{}
	s.introduce(response.Node, profiles, now)
	for _, peer := range response.Peers {
		member := s.introduce(peer, profiles, now)
		if len(member.Grants) == 0 {
			continue
		}
		var from []string
		for _, address := range peer.Addresses {
			from = append(from, address.Addr().String())
		}
		response.PacketFilter = append(response.PacketFilter, tailcfg.FilterRule{
			SrcIPs: from, CapGrant: []tailcfg.CapGrant{{Dsts: response.Node.Addresses, CapMap: member.Grants}},
		})
	}
	name := strings.TrimSuffix(response.Node.Name, ".")
	response.Node.CapMap = tailcfg.NodeCapMap{tailcfg.CapabilityHTTPS: nil}
	response.DNSConfig = &tailcfg.DNSConfig{Proxied: true, Domains: []string{s.MagicDNSSuffix}, CertDomains: []string{name}}
	response.Domain = s.Tailnet
	response.UserProfiles = nil
	for _, profile := range profiles {
		response.UserProfiles = append(response.UserProfiles, profile)
	}
	response.ControlTime = &now
}

// introduce makes a node the member of its host name.
func (s State) introduce(node *tailcfg.Node, profiles map[tailcfg.UserID]tailcfg.UserProfile, now time.Time) Member {
	host := node.Hostinfo.Hostname()
	member := s.Members[host]
	owner := tailcfg.UserProfile{ID: tailcfg.UserID(s.UserID), LoginName: s.LoginName}
	if member.LoginName != "" {
		owner = tailcfg.UserProfile{ID: tailcfg.UserID(member.UserID), LoginName: member.LoginName}
	}
	suffix := s.MagicDNSSuffix
	if member.MagicDNSSuffix != "" {
		suffix = member.MagicDNSSuffix
	}
	if len(member.Tags) > 0 {
		owner = taggedDevices()
	}
	profiles[owner.ID] = owner
	node.Name, node.User, node.Tags = host+"."+suffix+".", owner.ID, member.Tags
	node.MachineAuthorized, node.KeyExpiry = true, now.AddDate(0, 6, 0)
	return member
}

// describe puts the state into what the test server made up.
func (s State) describe(response *tailcfg.MapResponse, now time.Time) {
	owner := tailcfg.UserProfile{
		ID:          tailcfg.UserID(s.UserID),
		LoginName:   s.LoginName,
		DisplayName: s.DisplayName,
	}
	if len(s.Tags) > 0 {
		owner = taggedDevices()
	}
	node := response.Node
	host, _, _ := strings.Cut(node.Name, ".")
	node.Name = host + "." + s.MagicDNSSuffix + "."
	node.User = owner.ID
	node.Tags = s.Tags
	node.MachineAuthorized = !s.Unapproved
	node.KeyExpiry = now.AddDate(0, 6, 0)
	if s.KeyExpired {
		node.KeyExpiry = now.Add(-time.Minute)
	}
	response.Domain = s.Tailnet
	response.UserProfiles = []tailcfg.UserProfile{owner}
	response.Peers = nil
	response.ControlTime = &now
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Printf("answer: %v", err)
	}
}
