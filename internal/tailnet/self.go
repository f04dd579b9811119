package tailnet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/peercred"
)

// Self is this machine's node.
type Self struct {
	Name  string // in the tailnet, as in leger.example.ts.net
	Addrs []netip.Addr
	// CertDomains are the names that tailscaled gets certificates for; none unless the
	// tailnet has HTTPS switched on.
	CertDomains []string
}

// Certified reports whether tailscaled gets a certificate for the node's name.
func (s Self) Certified() bool { return slices.Contains(s.CertDomains, s.Name) }

// Self tells how this machine is called in the tailnet, tagged or not. Errors are those
// of Identity.
func (n *Node) Self(ctx context.Context) (Self, error) {
	s, err := n.status(ctx, false)
	if err != nil {
		return Self{}, err
	}
	if err := s.running(n.cfg.Now()); err != nil {
		return Self{}, err
	}
	if s.Self == nil || len(s.Self.TailscaleIPs) == 0 || s.Self.DNSName == "" {
		return Self{}, leger.Errorf(leger.CodeMissingPart, "Tailscale runs, but tells no name and address of this machine").
			WithHint("is MagicDNS on? https://login.tailscale.com/admin/dns")
	}
	return Self{
		Name: strings.ToLower(strings.TrimSuffix(s.Self.DNSName, ".")), Addrs: s.Self.TailscaleIPs, CertDomains: s.CertDomains,
	}, nil
}

// Certificate gives the certificate of a name of this node, with its key; tailscaled
// gets and renews it. ErrForbidden: this user may not have it.
func (n *Node) Certificate(ctx context.Context, name string) (*tls.Certificate, error) {
	raw, err := n.askSocket(ctx, "cert/"+url.PathEscape(name)+"?type=pair")
	if errors.Is(err, errDenied) {
		return nil, leger.Wrap(leger.CodeForbidden, err, "this user may not have the node's certificate").
			WithHint("set TS_PERMIT_CERT_UID in /etc/default/tailscaled to the user that leger-server runs as")
	}
	if err != nil {
		return nil, explain(ctx, err, false)
	}
	cert, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return nil, leger.Wrap(leger.CodeMissingPart, err, "tailscaled's certificate cannot be read")
	}
	return &cert, nil
}

// UID gives the user id that tailscaled runs as: of who listens on its socket.
func (n *Node) UID(ctx context.Context) (int, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", n.cfg.Socket)
	if err != nil {
		return -1, explain(ctx, err, false)
	}
	defer func() { _ = conn.Close() }()
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return -1, leger.Errorf(leger.CodeInternal, "%s is no unix socket", n.cfg.Socket)
	}
	return peercred.UID(unix)
}
