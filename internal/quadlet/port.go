package quadlet

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"leger.run/leger"
)

// Port is one PublishPort=: ports of the machine that lead into a container or a
// pod.
type Port struct {
	// HostIP is the machine's address; empty: all of its addresses.
	HostIP string
	// Host and HostEnd are the first and the last port of the machine; 0: Podman
	// takes a free one at each start.
	Host, HostEnd uint16
	// Container and ContainerEnd are the first and the last port inside. There are
	// as many as on the machine.
	Container, ContainerEnd uint16
	Protocol                string // "tcp" (also when nothing is said), "udp" or "sctp"
	File                    string
	Line                    int
}

// Public reports whether others than this machine itself may reach the port.
func (p Port) Public() bool {
	addr, err := netip.ParseAddr(p.HostIP)
	return err != nil || !addr.IsLoopback()
}

// String gives "127.0.0.1:8080-8081→80-81/tcp", "*→80/tcp" for a free port.
func (p Port) String() string {
	host := portRange(p.Host, p.HostEnd)
	if p.Host == 0 {
		host = "*"
	}
	switch {
	case strings.Contains(p.HostIP, ":"):
		host = "[" + p.HostIP + "]:" + host
	case p.HostIP != "":
		host = p.HostIP + ":" + host
	}
	return host + "→" + portRange(p.Container, p.ContainerEnd) + "/" + p.Protocol
}

func portRange(first, last uint16) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return strconv.Itoa(int(first)) + "-" + strconv.Itoa(int(last))
}

// HostPort is a port of the machine that somebody has, for comparing with those
// that quadlets publish.
func HostPort(p leger.Port) Port {
	n := uint16(max(0, min(p.Number, math.MaxUint16)))
	return Port{HostIP: p.Address, Host: n, HostEnd: n, Protocol: p.Protocol}
}

// Overlaps reports whether two of them want the same port of the machine.
func (p Port) Overlaps(q Port) bool {
	if p.Host == 0 || q.Host == 0 || p.Protocol != q.Protocol || p.HostEnd < q.Host || q.HostEnd < p.Host {
		return false
	}
	return p.HostIP == q.HostIP || anyAddress(p.HostIP, q.HostIP) || anyAddress(q.HostIP, p.HostIP)
}

// anyAddress reports whether listening on ip takes the port on other, too. Podman
// listens on all addresses of both families where none is named.
func anyAddress(ip, other string) bool {
	if ip == "" || ip == "::" {
		return true
	}
	return ip == "0.0.0.0" && !strings.Contains(other, ":")
}

// port reads a PublishPort=. Podman's generator hands it on unread; the checks are
// those of "podman run". ok is false for a problem, and for a value that only
// systemd can complete (%i, ${PORT}).
func (l *loader) port(a Assignment) (p Port, ok bool) {
	if strings.ContainsAny(a.Value, "%$") {
		return Port{}, false
	}
	p, err := ParsePort(a.Value)
	if err != nil {
		l.problemAt(a, "write PublishPort=[[ADDRESS:][PORT]:]PORT[/tcp|udp|sctp], an IPv6 address in brackets", "PublishPort=%s: %s", show(a.Value), err.Error())
		return Port{}, false
	}
	p.File, p.Line = a.File, a.Line
	return p, true
}

// ParsePort reads [[IP:][HOST[-END]]:]CONTAINER[-END][/PROTOCOL] as Podman does.
// The error says what is wrong with it, for use in a message.
func ParsePort(value string) (Port, error) {
	rest, protocol, hasProtocol := strings.Cut(value, "/")
	p := Port{Protocol: "tcp"}
	if hasProtocol {
		p.Protocol = strings.ToLower(protocol)
	}
	switch p.Protocol {
	case "tcp", "udp", "sctp":
	default:
		return Port{}, errors.New("the protocol is neither tcp, udp nor sctp")
	}
	ip, host, container, err := cutPort(rest)
	if err != nil {
		return Port{}, err
	}
	if ip != "" {
		addr, err := netip.ParseAddr(ip)
		if err != nil || addr.Zone() != "" {
			return Port{}, errors.New("the address is none")
		}
		p.HostIP = addr.Unmap().String()
	}
	if p.Container, p.ContainerEnd, err = parseRange(container); err != nil {
		return Port{}, err
	}
	if host == "" {
		return p, nil
	}
	if p.Host, p.HostEnd, err = parseRange(host); err != nil {
		return Port{}, err
	}
	if p.HostEnd-p.Host != p.ContainerEnd-p.Container {
		return Port{}, errors.New("there are not as many ports on the machine as in the container")
	}
	return p, nil
}

func cutPort(s string) (ip, host, container string, err error) {
	if after, isV6 := strings.CutPrefix(s, "["); isV6 {
		var closed bool
		if ip, s, closed = strings.Cut(after, "]:"); !closed || ip == "" || strings.Count(s, ":") != 1 {
			return "", "", "", errors.New("an IPv6 address is followed by :PORT:PORT")
		}
		host, container, _ = strings.Cut(s, ":")
		return ip, host, container, nil
	}
	switch parts := strings.Split(s, ":"); len(parts) {
	case 1:
		return "", "", parts[0], nil
	case 2:
		return "", parts[0], parts[1], nil
	case 3:
		if parts[0] == "" {
			return "", "", "", errors.New("the address is empty")
		}
		return parts[0], parts[1], parts[2], nil
	default:
		return "", "", "", errors.New("it has too many colons")
	}
}

func parseRange(s string) (first, last uint16, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	a, errA := strconv.ParseUint(from, 10, 16)
	b, errB := strconv.ParseUint(to, 10, 16)
	switch {
	case errA != nil || errB != nil || a == 0 || b == 0:
		return 0, 0, errors.New("a port is a number from 1 to 65535")
	case isRange && b <= a:
		return 0, 0, errors.New("the range ends before it begins")
	}
	return uint16(a), uint16(b), nil
}
