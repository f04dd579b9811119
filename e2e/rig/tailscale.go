package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TailscaleSocket is where tailscaled listens in the machine, for every user.
const TailscaleSocket = "/run/tailscale/tailscaled.sock"

// tailscaleTimeout is how long the node may take to change its state.
const tailscaleTimeout = 30 * time.Second

// OlderTailscale is the series that runs beside the newest one. Until 1.100
// tailscaled told its user's profile only together with the peers.
const OlderTailscale = "v1.92"

// Identity is whom the machine's Tailscale node belongs to. Empty fields take
// the values of alice@github in example.ts.net, user 123456789.
type Identity struct {
	// Series is the Tailscale that the machine runs: the newest, or [OlderTailscale].
	Series                  string
	LoginName, DisplayName  string
	UserID                  int64
	Tailnet, MagicDNSSuffix string
	// RequireLogin leaves the node logged out, and makes "tailscale up" wait
	// until somebody has visited a URL: see [Tailscale.BeginLogin].
	RequireLogin bool
}

// Tailscale is a tailscaled in the machine, with a control server of its own.
type Tailscale struct {
	m   *Machine
	url string
	// Daemon is tailscaled, Control the control server.
	Daemon, Control *RunningUnit
}

// TailscaleStatus is the part of "tailscale status --json" that tests look at.
type TailscaleStatus struct {
	BackendState   string
	AuthURL        string
	MagicDNSSuffix string
	Self           struct {
		ID      string
		UserID  int64
		DNSName string
		Tags    []string
	}
	User map[string]struct {
		LoginName, DisplayName string
	}
}

// Tailscale starts tailscaled with a control server and logs in as identity.
// When it returns the node is running, or waits for a login when the identity
// requires one.
func (m *Machine) Tailscale(ctx context.Context, identity Identity) *Tailscale {
	m.t.Helper()
	newest := m.buildTailscale(ctx)
	m.AddPrograms(filepath.Join(newest, "testcontrol"))
	node := newest
	if identity.Series != "" {
		node = m.buildTailscale(ctx, identity.Series)
		m.addInterface(ctx)
	}
	m.AddPrograms(filepath.Join(node, "tailscaled"), filepath.Join(node, "tailscale"))
	control := m.StartUnit(ctx, Unit{
		Name:    "testcontrol",
		Command: append([]string{"testcontrol"}, identity.flags()...),
		Ready:   "READY ",
	})
	daemon := m.StartUnit(ctx, Unit{
		Name: "tailscaled",
		Command: []string{
			"tailscaled", "-tun=userspace-networking", "-port=0",
			"-socket=" + TailscaleSocket, "-statedir=/var/lib/tailscale",
		},
		// Without the first it waits for a network interface other than lo; the
		// others keep it from looking for the internet.
		Env: []string{
			"TS_ASSUME_NETWORK_UP_FOR_TEST=1", "TS_NO_LOGS_NO_SUPPORT=true",
			"TS_DISABLE_PORTMAPPER=1", "TS_LOGS_DIR=/var/lib/tailscale",
		},
		Properties: []string{"RuntimeDirectory=tailscale", "RuntimeDirectoryMode=0755", "StateDirectory=tailscale"},
	})
	n := &Tailscale{m: m, url: control.ReadyLine, Daemon: daemon, Control: control}
	// The socket appears a moment after the process.
	n.await(ctx, "NeedsLogin")
	if !identity.RequireLogin {
		n.Up(ctx)
	}
	return n
}

// For returns the same node for a subtest; see [Machine.For].
func (n *Tailscale) For(t testing.TB) *Tailscale {
	other := *n
	other.m = n.m.For(t)
	return &other
}

// flags is the identity as testcontrol takes it.
func (i Identity) flags() []string {
	var flags []string
	for name, value := range map[string]string{
		"-login": i.LoginName, "-display": i.DisplayName, "-tailnet": i.Tailnet, "-suffix": i.MagicDNSSuffix,
	} {
		if value != "" {
			flags = append(flags, name, value)
		}
	}
	if i.UserID != 0 {
		flags = append(flags, "-user-id", strconv.FormatInt(i.UserID, 10))
	}
	if i.RequireLogin {
		flags = append(flags, "-require-login")
	}
	return flags
}

// addInterface gives the machine a network interface that leads nowhere: older
// Tailscale does not connect to its relay, and stays in the state "Starting", while
// the machine has none but lo.
func (m *Machine) addInterface(ctx context.Context) {
	m.t.Helper()
	m.Must(ctx, Opts{As: "root"}, "sh", "-ec", `
		ip link add rig0 type veth peer name rig1
		ip address add 192.0.2.1/24 dev rig0
		ip link set rig0 up
		ip link set rig1 up`)
}

// buildTailscale builds Tailscale's programs, once, and returns their directory.
func (m *Machine) buildTailscale(ctx context.Context, series ...string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	output, err := m.script(ctx, "tailnet/build", series...).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			m.t.Fatalf("rig: build Tailscale: %v\n%s", err, exit.Stderr)
		}
		m.t.Fatalf("rig: build Tailscale: %v", err)
	}
	return strings.TrimSpace(string(output))
}

// Status asks the node as the test user does, with its peers: the older series
// tells no user without them.
func (n *Tailscale) Status(ctx context.Context) (TailscaleStatus, error) {
	result := n.m.Run(ctx, Opts{}, "tailscale", "status", "--json")
	var status TailscaleStatus
	if err := json.Unmarshal([]byte(result.Stdout), &status); err != nil {
		return status, fmt.Errorf("tailscale status: %w: %s", err, result)
	}
	return status, nil
}

// Up connects the node, logging in first when it is logged out.
func (n *Tailscale) Up(ctx context.Context) {
	n.m.t.Helper()
	n.tailscale(ctx, "up", "--login-server="+n.url, "--timeout="+tailscaleTimeout.String())
	n.await(ctx, "Running")
}

// Down disconnects the node; it stays logged in, in the state "Stopped".
func (n *Tailscale) Down(ctx context.Context) {
	n.m.t.Helper()
	n.tailscale(ctx, "down")
	n.await(ctx, "Stopped")
}

// Logout takes the node out of the tailnet, into the state "NeedsLogin".
func (n *Tailscale) Logout(ctx context.Context) {
	n.m.t.Helper()
	n.tailscale(ctx, "logout")
	n.await(ctx, "NeedsLogin")
}

// BeginLogin starts logging in and returns the URL to visit. The node is half
// logged in until [Tailscale.CompleteLogin].
func (n *Tailscale) BeginLogin(ctx context.Context) (url string) {
	n.m.t.Helper()
	// It prints the URL and gives up waiting; the daemon goes on.
	n.m.Root(ctx, Opts{}, "tailscale", "up", "--login-server="+n.url, "--timeout=1s")
	eventually(ctx, n.m.t, tailscaleTimeout, "tailscale has a login URL", func(ctx context.Context) error {
		status, err := n.Status(ctx)
		if err == nil && status.AuthURL == "" {
			err = fmt.Errorf("no URL in state %s", status.BackendState)
		}
		url = status.AuthURL
		return err
	})
	return url
}

// CompleteLogin plays the person who visits the URL and agrees.
func (n *Tailscale) CompleteLogin(ctx context.Context, url string) {
	n.m.t.Helper()
	n.control(ctx, http.MethodPost, "/rig/login", map[string]any{"url": url})
	n.await(ctx, "Running")
}

// SetKeyExpired ends the time of the node's key, or renews it. The node is in
// the state "NeedsLogin" while its key is expired, and still has an identity.
func (n *Tailscale) SetKeyExpired(ctx context.Context, expired bool) {
	n.m.t.Helper()
	n.change(ctx, map[string]any{"key_expired": expired})
	if expired {
		n.await(ctx, "NeedsLogin")
		return
	}
	n.await(ctx, "Running")
}

// SetUnapproved makes the node wait for an admin's approval, in the state
// "NeedsMachineAuth", or approves it.
func (n *Tailscale) SetUnapproved(ctx context.Context, unapproved bool) {
	n.m.t.Helper()
	n.change(ctx, map[string]any{"unapproved": unapproved})
	if unapproved {
		n.await(ctx, "NeedsMachineAuth")
		return
	}
	n.await(ctx, "Running")
}

// SetTags gives the node tags, which take it away from its owner; none give it
// back.
func (n *Tailscale) SetTags(ctx context.Context, tags ...string) {
	n.m.t.Helper()
	n.change(ctx, map[string]any{"tags": tags})
	eventually(ctx, n.m.t, tailscaleTimeout, "tailscale knows its tags", func(ctx context.Context) error {
		status, err := n.Status(ctx)
		if err == nil && !slices.Equal(status.Self.Tags, tags) {
			err = fmt.Errorf("the tags are %q", status.Self.Tags)
		}
		return err
	})
}

// SetOwner gives the node another owner, as when somebody else logs in on the
// machine. Empty fields of the identity stay as they are.
func (n *Tailscale) SetOwner(ctx context.Context, owner Identity) {
	n.m.t.Helper()
	patch := map[string]any{}
	for name, value := range map[string]string{
		"login_name": owner.LoginName, "display_name": owner.DisplayName,
		"tailnet": owner.Tailnet, "magic_dns_suffix": owner.MagicDNSSuffix,
	} {
		if value != "" {
			patch[name] = value
		}
	}
	if owner.UserID != 0 {
		patch["user_id"] = owner.UserID
	}
	n.change(ctx, patch)
	eventually(ctx, n.m.t, tailscaleTimeout, "tailscale knows its owner", func(ctx context.Context) error {
		status, err := n.Status(ctx)
		if err != nil {
			return err
		}
		login := status.User[strconv.FormatInt(status.Self.UserID, 10)].LoginName
		if (owner.UserID != 0 && status.Self.UserID != owner.UserID) || (owner.LoginName != "" && login != owner.LoginName) {
			return fmt.Errorf("the owner is %d, %s", status.Self.UserID, login)
		}
		return nil
	})
}

// await waits for the node to be in a state.
func (n *Tailscale) await(ctx context.Context, state string) {
	n.m.t.Helper()
	eventually(ctx, n.m.t, tailscaleTimeout, "tailscale is in state "+state, func(ctx context.Context) error {
		status, err := n.Status(ctx)
		if err == nil && status.BackendState != state {
			err = fmt.Errorf("its state is %s", status.BackendState)
		}
		return err
	})
}

// tailscale runs Tailscale's own CLI as root, who may change the node.
func (n *Tailscale) tailscale(ctx context.Context, args ...string) {
	n.m.t.Helper()
	if result := n.m.Root(ctx, Opts{}, "tailscale", args...); result.Code != 0 {
		n.m.t.Fatalf("tailscale %s: %s", strings.Join(args, " "), result)
	}
}

// change tells the control server what to tell the node.
func (n *Tailscale) change(ctx context.Context, patch map[string]any) {
	n.m.t.Helper()
	n.control(ctx, http.MethodPatch, "/rig/state", patch)
}

func (n *Tailscale) control(ctx context.Context, method, path string, body map[string]any) {
	n.m.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		n.m.t.Fatalf("rig: %v", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, n.url+path, bytes.NewReader(text))
	if err != nil {
		n.m.t.Fatalf("rig: %v", err)
	}
	response, err := n.m.HTTPClient().Do(request)
	if err != nil {
		n.m.t.Fatalf("rig: testcontrol: %v", err)
	}
	defer response.Body.Close()
	if answer, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		n.m.t.Fatalf("rig: testcontrol: %s %s: %s: %s", method, path, response.Status, answer)
	}
}
