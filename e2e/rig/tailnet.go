package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
)

// Member is one node of a [Tailnet]. A zero LoginName leaves it to alice@github.
type Member struct {
	LoginName      string                       `json:"login_name,omitempty"`
	UserID         int64                        `json:"user_id,omitempty"`
	MagicDNSSuffix string                       `json:"magic_dns_suffix,omitempty"`
	Tags           []string                     `json:"tags,omitempty"`
	Grants         map[string][]json.RawMessage `json:"grants,omitempty"`
	// Interface gives the node a network interface, as on most machines: programs of the
	// machine can listen on its addresses. One node of a machine may have it.
	Interface bool `json:"-"`
}

// Tailnet is a network of several nodes in one machine. Each has a tailscaled of its
// own, in userspace networking but for one: what wants to reach the others as one of the nodes goes
// through that node's proxy.
type Tailnet struct {
	control *Tailscale
	nodes   map[string]*Node
}

// Node is one member's tailscaled.
type Node struct {
	Name   string
	Socket string
	// Proxy is where it takes HTTP requests to the tailnet.
	Proxy string
	// Addr is its IPv4 address.
	Addr string
	// State is tailscaled's state directory.
	State string
}

// Tailnet starts a node for each member, by host name, and waits until all run and
// every one knows the others. The members belong to example.ts.net and alice@github
// where they do not say otherwise.
func (m *Machine) Tailnet(ctx context.Context, members map[string]Member) *Tailnet {
	m.t.Helper()
	programs := m.buildTailscale(ctx)
	m.AddPrograms(filepath.Join(programs, "testcontrol"), filepath.Join(programs, "tailscaled"), filepath.Join(programs, "tailscale"))
	control := m.StartUnit(ctx, Unit{Name: "testcontrol", Command: []string{"testcontrol"}, Ready: "READY "})
	n := &Tailnet{control: &Tailscale{m: m, url: control.ReadyLine, Control: control}, nodes: map[string]*Node{}}
	n.SetMembers(ctx, members)
	port := 1055
	for name, member := range members {
		n.nodes[name] = n.start(ctx, name, port, member.Interface)
		port++
	}
	for name, node := range n.nodes {
		eventually(ctx, m.t, tailscaleTimeout, name+" knows the others", func(ctx context.Context) error {
			var status struct {
				BackendState string
				Self         struct{ TailscaleIPs []string }
				Peer         map[string]struct{ Relay string }
			}
			result := m.Root(ctx, Opts{}, "tailscale", "--socket="+node.Socket, "status", "--json")
			if err := json.Unmarshal([]byte(result.Stdout), &status); err != nil {
				return fmt.Errorf("tailscale status: %w: %s", err, result)
			}
			if status.BackendState != "Running" || len(status.Peer) != len(members)-1 || len(status.Self.TailscaleIPs) == 0 {
				return fmt.Errorf("it is in state %s with %d peers", status.BackendState, len(status.Peer))
			}
			node.Addr = status.Self.TailscaleIPs[0]
			return nil
		})
	}
	return n
}

func (n *Tailnet) start(ctx context.Context, name string, port int, withInterface bool) *Node {
	m := n.control.m
	m.t.Helper()
	run := "tailscale-" + name
	node := &Node{
		Name: name, Socket: "/run/" + run + "/tailscaled.sock", Proxy: fmt.Sprintf("http://127.0.0.1:%d", port), State: "/var/lib/" + run,
	}
	tun := "userspace-networking"
	if withInterface {
		tun = "tailscale0"
	}
	m.StartUnit(ctx, Unit{
		Name: "tailscaled-" + name,
		Command: []string{
			"tailscaled", "-tun=" + tun, "-port=0", "-socket=" + node.Socket, "-statedir=" + node.State,
			fmt.Sprintf("-outbound-http-proxy-listen=127.0.0.1:%d", port),
		},
		Env: []string{
			"TS_ASSUME_NETWORK_UP_FOR_TEST=1", "TS_NO_LOGS_NO_SUPPORT=true", "TS_DISABLE_PORTMAPPER=1", "TS_LOGS_DIR=" + node.State,
			"SSL_CERT_FILE=" + caFile,
		},
		Properties: []string{"RuntimeDirectory=" + run, "RuntimeDirectoryMode=0755", "StateDirectory=" + run},
	})
	eventually(ctx, m.t, tailscaleTimeout, name+" is up", func(ctx context.Context) error {
		result := m.Root(ctx, Opts{}, "tailscale", "--socket="+node.Socket, "up", "--login-server="+n.control.url,
			"--hostname="+name, "--netfilter-mode=off", "--timeout=20s")
		if result.Code != 0 {
			return fmt.Errorf("%s", result)
		}
		return nil
	})
	return node
}

// Node gives a member's node.
func (n *Tailnet) Node(name string) *Node { return n.nodes[name] }

// For returns the same network for a subtest; see [Machine.For].
func (n *Tailnet) For(t testing.TB) *Tailnet {
	return &Tailnet{control: n.control.For(t), nodes: n.nodes}
}

// SetMembers tells all nodes who they are now.
func (n *Tailnet) SetMembers(ctx context.Context, members map[string]Member) {
	n.control.m.t.Helper()
	n.control.control(ctx, http.MethodPatch, "/rig/state", map[string]any{"members": members})
}

// caFile is where a certificate authority of the test's own lies in the machine; see
// [Tailnet.Certify].
const caFile = "/etc/ssl/rig-ca.pem"

// CAFile is the certificate authority that [Tailnet.Certify] signs with.
const CAFile = caFile

// Certify gives a node a certificate for its name, as tailscaled keeps one that it got:
// the certificate authority of the real ones is on the internet.
func (n *Tailnet) Certify(ctx context.Context, name string) {
	m := n.control.m
	m.t.Helper()
	node := n.nodes[name]
	domain := name + ".example.ts.net"
	m.Must(ctx, Opts{As: "root"}, "sh", "-ec", `
		dir=$(mktemp -d) && cd "$dir"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=rig \
			-addext basicConstraints=critical,CA:TRUE -keyout ca.key -out "$1"
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" -keyout leaf.key -out leaf.csr
		printf 'subjectAltName=DNS:%s\n' "$2" >ext
		openssl x509 -req -in leaf.csr -CA "$1" -CAkey ca.key -CAcreateserial -days 20 -extfile ext -out leaf.crt
		mkdir -p -m 700 "$3/certs"
		cat leaf.crt "$1" >"$3/certs/$2.crt"
		install -m 600 leaf.key "$3/certs/$2.key"`, "sh", caFile, domain, node.State)
}
