package token

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"leger.run/leger"
)

// Origin is a server's address as tokens name it: scheme and host in lower case,
// without the scheme's own port, a path or anything else (RFC 6454, 4). ErrInvalid,
// field "server", for what is no address of a server.
func Origin(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", leger.Invalid("server", "the server's address is not a URL such as https://leger.example.ts.net")
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host += ":" + port
	}
	return u.Scheme + "://" + host, nil
}

// LoopbackOrigin is the origin that a Host header names, if that is a loopback
// address of this machine over plain http, and "" else.
func LoopbackOrigin(host string) string {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if !strings.EqualFold(name, "localhost") && (err != nil || !addr.IsLoopback()) {
		return ""
	}
	origin, err := Origin("http://" + host)
	if err != nil {
		return ""
	}
	return origin
}
