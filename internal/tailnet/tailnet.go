// Package tailnet asks this machine's tailscaled who its user is, and who is at the
// other end of a connection.
//
// An identity it gives is one Tailscale vouches for now: the node runs, its key
// is valid, it belongs to a person. tailscaled keeps telling a name in every
// other state too (stopped, expired, half signed in), so each of those is refused
// with an error of its own that says what to type.
//
// It deliberately changes nothing: it starts no daemon and signs nobody in.
package tailnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"leger.run/leger"
)

// DefaultSocket is where tailscaled listens on Linux.
const DefaultSocket = "/run/tailscale/tailscaled.sock"

// MaxStatus bounds tailscaled's answer, in bytes: a few KiB, and with the peers one
// or two more for each.
const MaxStatus = 64 << 20

const (
	// host is the only Host header tailscaled answers to; others get 403.
	host = "local-tailscaled.sock"
	// patience is how long tailscaled may take: it answers from memory.
	patience = 5 * time.Second
)

// Config says how to reach tailscaled. The zero value is good on Linux.
type Config struct {
	// Socket is tailscaled's local API; empty is DefaultSocket.
	Socket string
	// StatusCommand gives the output of "tailscale status --json", with the peers or
	// with --peers=false, for systems where the socket cannot be used (macOS,
	// containers). nil: only the socket is asked. ErrMissingPart from it means that
	// Tailscale is not installed.
	StatusCommand func(ctx context.Context, peers bool) ([]byte, error)
	// Now tells whether the node's key has expired; nil is time.Now.
	Now func() time.Time
}

// Node is this machine as its tailscaled knows it.
type Node struct {
	cfg  Config
	http *http.Client
}

// New makes a Node; nothing is asked yet.
func New(c Config) *Node {
	if c.Socket == "" {
		c.Socket = DefaultSocket
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	}
	return &Node{cfg: c, http: &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// Identity tells who uses this machine. Each state in which Tailscale vouches
// for nobody is an error of its own with what to do: ErrMissingPart when
// Tailscale is absent, stopped, starting or signed out, ErrForbidden when the
// node is not a person's or this user may not ask.
//
// The peers of a large tailnet take megabytes, so they are asked for only when
// tailscaled leaves the user's profile out without them.
func (n *Node) Identity(ctx context.Context) (leger.Identity, error) {
	s, err := n.status(ctx, false)
	if err != nil {
		return leger.Identity{}, err
	}
	if s.lacksProfile() {
		// The second answer counts alone: the node may have changed hands meanwhile.
		if s, err = n.status(ctx, true); err != nil {
			return leger.Identity{}, err
		}
	}
	return s.identity(n.cfg.Now())
}

func (n *Node) status(ctx context.Context, peers bool) (status, error) {
	raw, err := n.ask(ctx, peers)
	if err != nil {
		return status{}, err
	}
	var s status
	if err := json.Unmarshal(raw, &s); err != nil {
		return status{}, leger.Wrap(leger.CodeMissingPart, err, "tailscaled's answer cannot be read").
			WithHint("update Tailscale: sudo tailscale update")
	}
	return s, nil
}

// ask gets the status as JSON, by the socket or else by the command.
func (n *Node) ask(ctx context.Context, peers bool) ([]byte, error) {
	raw, err := n.askSocket(ctx, "status?peers="+strconv.FormatBool(peers))
	if err == nil || n.cfg.StatusCommand == nil || ctx.Err() != nil {
		return raw, explain(ctx, err, false)
	}
	out, cmdErr := n.cfg.StatusCommand(ctx, peers)
	switch {
	case errors.Is(cmdErr, leger.ErrMissingPart):
		return nil, explain(ctx, err, true)
	case cmdErr != nil || !bytes.HasPrefix(bytes.TrimSpace(out), []byte("{")):
		// The command met the same closed door; the socket's error says which.
		return nil, explain(ctx, err, false)
	default:
		return out, nil
	}
}

// errDenied is tailscaled's 403: it knows the caller and refuses.
var errDenied = leger.Errorf(leger.CodeForbidden, "tailscaled refused")

// askSocket asks tailscaled's local API. ErrNotFound when it has nothing to give.
func (n *Node) askSocket(ctx context.Context, what string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/localapi/v0/"+what, http.NoBody)
	if err != nil {
		return nil, leger.Wrap(leger.CodeInternal, err, "make the request")
	}
	res, err := n.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok { // drop the method and URL it repeats
			err = u.Err
		}
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden, http.StatusUnauthorized:
		return nil, errDenied
	case http.StatusNotFound:
		return nil, leger.Errorf(leger.CodeNotFound, "tailscaled knows nothing of it")
	default:
		return nil, leger.Errorf(leger.CodeMissingPart, "tailscaled answered %s", res.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, MaxStatus+1))
	if err == nil && len(raw) > MaxStatus {
		return nil, leger.Errorf(leger.CodeMissingPart, "tailscaled's answer has more than %d MiB", MaxStatus>>20)
	}
	return raw, err
}

// explain turns a failed request into what the person at the keyboard can mend.
// absent: the tailscale command is not there either.
func explain(ctx context.Context, err error, absent bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return leger.Wrap(leger.CodeInterrupted, err, "interrupted")
	case errors.Is(err, errDenied), errors.Is(err, fs.ErrPermission):
		return leger.Wrap(leger.CodeForbidden, err, "this user may not ask tailscaled who is signed in").
			WithHint("sudo tailscale set --operator=$USER")
	case absent:
		return leger.Wrap(leger.CodeMissingPart, err, "Tailscale is not installed on this machine, and Leger takes your identity from it").
			WithHint("install it from https://tailscale.com/download, then: sudo tailscale up")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return leger.Wrap(leger.CodeMissingPart, err, "tailscaled is not running, and Leger takes your identity from it").
			WithHint("sudo systemctl enable --now tailscaled")
	default:
		return leger.Wrap(leger.CodeMissingPart, err, "tailscaled did not answer").
			WithHint("sudo systemctl restart tailscaled")
	}
}
