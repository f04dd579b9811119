// Package procnet reads the kernel's tables of sockets, /proc/net/tcp, tcp6, udp and
// udp6 (proc_pid_net(5); Linux, Documentation/networking/proc_net_tcp.rst). It opens
// no file, and what a socket is good for is up to the caller.
package procnet

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"net/netip"
	"strconv"
)

// State is a socket's state (include/net/tcp_states.h), in hexadecimal as in the table.
type State string

// The states that callers look for. A connection in TIME_WAIT shows uid 0, whoever's
// it was.
const (
	Established State = "01"
	Unconnected State = "07" // what a datagram socket shows that waits for anybody
	Listen      State = "0A"
)

// Socket is one line of a table.
type Socket struct {
	Local, Remote netip.AddrPort // in the form Unmap gives
	State         State
	UID           int
	Inode         string
}

// Sockets gives the sockets of a table. Its heading, and a line that is no socket,
// are left out.
func Sockets(table []byte) iter.Seq[Socket] {
	return func(yield func(Socket) bool) {
		for line := range bytes.Lines(table) {
			if s, ok := parse(bytes.Fields(line)); ok && !yield(s) {
				return
			}
		}
	}
}

// parse reads "0: 0100007F:1F90 00000000:0000 0A … … … uid … inode …".
func parse(fields [][]byte) (Socket, bool) {
	const local, remote, state, owner, inode = 1, 2, 3, 7, 9
	if len(fields) <= inode {
		return Socket{}, false
	}
	l, ok := parseAddr(fields[local])
	r, ok2 := parseAddr(fields[remote])
	uid, err := strconv.ParseUint(string(fields[owner]), 10, 32)
	if !ok || !ok2 || err != nil {
		return Socket{}, false
	}
	return Socket{l, r, State(fields[state]), int(uid), string(fields[inode])}, true
}

// parseAddr reads "0100007F:1F90": 32-bit words in the machine's byte order, one for
// IPv4 and four for IPv6, and a port in network order.
func parseAddr(text []byte) (netip.AddrPort, bool) {
	addr, port, cut := bytes.Cut(text, []byte(":"))
	p, err := strconv.ParseUint(string(port), 16, 16)
	if !cut || err != nil || (len(addr) != 8 && len(addr) != 32) {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(string(addr))
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return Unmap(netip.AddrPortFrom(ip, uint16(p))), ok
}

// Unmap makes one form of an IPv4 address that a v6 socket sees as ::ffff:a.b.c.d.
func Unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
